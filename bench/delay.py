"""A pure delay in front of a server: half the round trip each way, in order, at any bandwidth.

A program of its own, so that it takes no time from the sender: `python -m bench.delay PORT SECONDS`.
"""

import argparse
import asyncio
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from bench.programs import running


@contextmanager
def delayed(port: int, round_trip: float) -> Iterator[int]:
    """A port behind which the server at `port` is so many seconds away."""
    command = [sys.executable, "-m", "bench.delay", str(port), str(round_trip)]
    with running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


class _Direction:
    """Octets under way to one end; none of them is overtaken."""

    def __init__(self, to: asyncio.Transport, seconds: float) -> None:
        self._to = to
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._under_way: deque[tuple[float, bytes | None]] = deque()

    def send(self, data: bytes | None) -> None:
        """Arrive after the delay; None is the end of the stream."""
        due = self._loop.time() + self._seconds
        self._under_way.append((due, data))
        if len(self._under_way) == 1:
            self._loop.call_at(due, self._arrive)

    def _arrive(self) -> None:
        while self._under_way and self._under_way[0][0] <= self._loop.time():
            _, data = self._under_way.popleft()
            if data is None:
                self._to.close()
            else:
                self._to.write(data)
        if self._under_way:
            self._loop.call_at(self._under_way[0][0], self._arrive)


class _End(asyncio.Protocol):
    """One end of a connection; what it says goes to the other."""

    other: _Direction

    def data_received(self, data: bytes) -> None:
        self.other.send(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if hasattr(self, "other"):
            self.other.send(None)


class _Client(_End):
    """Who connects here. The handshake took no time, so the server hears of it when it would have."""

    def __init__(self, port: int, round_trip: float) -> None:
        self._port = port
        self._round_trip = round_trip

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self._connecting = asyncio.ensure_future(self._connect(transport))

    async def _connect(self, client: asyncio.Transport) -> None:
        await asyncio.sleep(1.5 * self._round_trip)
        server, end = await asyncio.get_running_loop().create_connection(_End, "127.0.0.1", self._port)
        self.other, end.other = (_Direction(to, self._round_trip / 2) for to in (server, client))
        client.resume_reading()


async def _serve(port: int, round_trip: float) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: _Client(port, round_trip), "127.0.0.1", 0, backlog=1000
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("round_trip", type=float, help="seconds")
    chosen = parser.parse_args()
    # epoll rounds waits up to milliseconds, select does not.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(_serve(chosen.port, chosen.round_trip))
