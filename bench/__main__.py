"""`make bench`: every benchmark, each against a floor or a peer measured in the same run."""

from bench import merging, planning


def main() -> None:
    """Run them all; ratios hold between machines, absolute numbers do not."""
    for benchmark in (merging, planning):
        print(f"\n{benchmark.__doc__}\n")
        for line in benchmark.run():
            print(f"  {line}")


main()
