# One image for every process of jlgc_mailer: init, web, worker and beat differ only in their command.
FROM python:3.12-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/jlgc-mailer
WORKDIR /source
COPY requirements.lock ./
RUN /opt/jlgc-mailer/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY src ./src
COPY templates ./templates
COPY examples ./examples
RUN /opt/jlgc-mailer/bin/pip install --no-deps .

FROM python:3.12-slim
# The volume that is mounted over the home folder takes over its owner and mode when it is first used.
RUN groupadd --gid 10001 mailer \
    && useradd --uid 10001 --gid mailer --no-create-home --home-dir /var/lib/jlgc-mailer --shell /usr/sbin/nologin mailer \
    && mkdir -m 0700 /var/lib/jlgc-mailer \
    && chown mailer:mailer /var/lib/jlgc-mailer
COPY --from=build /opt/jlgc-mailer /opt/jlgc-mailer
ENV PATH=/opt/jlgc-mailer/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    JLGC_MAILER_HOME=/var/lib/jlgc-mailer
USER 10001:10001
WORKDIR /var/lib/jlgc-mailer
EXPOSE 8025
ENTRYPOINT ["jlgc-mailer"]
CMD ["--help"]
