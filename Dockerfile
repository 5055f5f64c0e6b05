# syntax=docker/dockerfile:1
# Two stages: the wheel with the package, the dataplane and the migrations is built, then installed into an image without a compiler.
FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3.11 python3.11-venv gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml README.md rust-toolchain.toml ./
COPY geodns geodns
COPY migrations migrations
COPY dataplane dataplane
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN python3.11 -m venv /opt/geodns \
 && /opt/geodns/bin/pip install --no-cache-dir .

FROM debian:12.12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3.11 bind9-dnsutils \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 65532 --no-create-home --home-dir /nonexistent geodns \
 && install -d -o geodns -g geodns /data /etc/geodns/zones
COPY --from=build /opt/geodns /opt/geodns
ENV PATH=/opt/geodns/bin:$PATH \
    GEODNS_STATE_DIRECTORY=/data \
    GEODNS_ZONES_DIRECTORY=/etc/geodns/zones \
    GEODNS_DNS_LISTEN=0.0.0.0:5300 \
    GEODNS_API_LISTEN=0.0.0.0:8053
USER geodns
VOLUME /data
EXPOSE 5300/udp 5300/tcp 8053/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s \
    CMD ["python3.11", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8053/readyz', timeout=2)"]
ENTRYPOINT ["geodns"]
CMD ["serve"]
