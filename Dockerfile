# The four programs in one image. UNTESTED: it was written where no image can be built. Tell us what breaks.
#
#   docker build -t gonka .                                                  mainnet's times
#   docker build -t gonka:fast --build-arg FEATURES=gonka-node/fast-runtime .   2 s blocks, for local networks
#   docker run -v gonka:/data -p 30333:30333 gonka gonka-node --chain /data/gonka.json --base-path /data/node
#
# x86_64 only, as libtorch is pinned for it. Specifications, keys and models are not in the image: mount them.

FROM rust:1.95.0-bookworm AS build
# libtorch is looked for at run time where it was at build time: this path is the same in both stages.
ENV GONKA_HOME=/opt/gonka \
    LIBTORCH=/opt/gonka/libtorch/torch \
    CARGO_TARGET_DIR=/target \
    WASM_BUILD_WORKSPACE_HINT=/src
WORKDIR /src
# Before the sources, so that a change of theirs downloads nothing again.
COPY rust-toolchain.toml ./
COPY scripts scripts
RUN scripts/setup --build && rm -rf /var/lib/apt/lists/*
COPY . .
ARG FEATURES=""
RUN cargo build --release --locked --features "$FEATURES" \
      --package gonka-node --package gonka-worker --package gonka-gateway --package gonka-cli \
 && mkdir /out \
 && cp /target/release/gonka-node /target/release/gonka-worker /target/release/gonka-gateway /target/release/gonka /out/

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libssl3 libstdc++6 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 gonka \
 && install -d -o gonka -g gonka /data
# The two folders must stay neighbours: the libraries find each other by relative paths.
COPY --from=build /opt/gonka/libtorch/torch/lib /opt/gonka/libtorch/torch/lib
COPY --from=build /opt/gonka/libtorch/nvidia /opt/gonka/libtorch/nvidia
COPY --from=build /out/ /usr/local/bin/
USER gonka
WORKDIR /data
VOLUME /data
# Peers, RPC, metrics; worker; gateway.
EXPOSE 30333 9944 9615 9000 8080
CMD ["gonka", "--help"]
