# The image of veth-exporter: one static binary and nothing else. linux/amd64 and linux/arm64.
#
#   docker build -t veth-exporter .                                     needs the Rust image below
#   docker build -t veth-exporter --target prebuilt -f Dockerfile DIR   takes DIR/veth-exporter, a static binary, as it is
#
# The stages stand in this order so that the second way works offline, also with the classic builder, which builds every stage
# up to its target.

# What the image is. `--platform` chooses the architecture, the binary is told so by TARGETARCH below.
FROM scratch AS image
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="veth-exporter" \
      org.opencontainers.image.description="Prometheus exporter that knows every veth pair on a Linux host, who is at each end, and exactly how much went through" \
      org.opencontainers.image.licenses="Apache-2.0 AND (GPL-2.0-only OR Apache-2.0)" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
# One heap of malloc for all threads: a tenth less resident memory.
ENV MALLOC_ARENA_MAX=1
EXPOSE 10736
# It asks the address in VETH_EXPORTER_WEB_LISTEN_ADDRESS: change the port there, and not by a flag.
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s --retries=3 CMD ["/veth-exporter", "healthy"]
ENTRYPOINT ["/veth-exporter"]

FROM image AS prebuilt
COPY veth-exporter /veth-exporter

# Compiled on the builder's own architecture, whichever the target is.
FROM --platform=${BUILDPLATFORM:-linux/amd64} rust:1.95-slim-bookworm AS build
ARG TARGETARCH
WORKDIR /src
# The architecture's C library, linker, and compiler: ring, which does the cryptography of TLS, is partly C and assembly.
RUN case "${TARGETARCH:-amd64}" in \
      amd64) machine=x86_64 package=x86-64 libc=amd64 ;; \
      arm64) machine=aarch64 package=aarch64 libc=arm64 ;; \
      *) echo "no build for $TARGETARCH: amd64 and arm64 are known" >&2; exit 1 ;; \
    esac \
 && echo "$machine" >/machine \
 && if [ "$(uname -m)" != "$machine" ]; then \
      apt-get update \
      && apt-get install -y --no-install-recommends "gcc-$package-linux-gnu" "libc6-dev-$libc-cross"; \
    fi \
 && rustup target add "$machine-unknown-linux-gnu"
COPY . .
RUN machine=$(cat /machine) target=$(cat /machine)-unknown-linux-gnu \
 && if [ "$(uname -m)" != "$machine" ]; then \
      export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
             CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc; \
    fi \
 && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$target" \
 && cp "target/$target/release/veth-exporter" /veth-exporter

FROM image
COPY --from=build /veth-exporter /veth-exporter
