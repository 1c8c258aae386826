# The four programs in one image, compiled in it. `scripts/images` makes the same image from the packages of a release and is tested;
# this file is untested, since it was written where no image can be fetched. Tell us what breaks.
#
#   docker build -t gonka .                                                     mainnet's times
#   docker build -t gonka:fast --build-arg FEATURES=gonka-node/fast-runtime .   2 s blocks, for local networks
#   docker build --target runtime --output target/runtime .                     mainnet's runtime alone, as all others build it
#   docker build --target runtime --output target/runtime --build-arg NETWORK=testnet .
#   docker run -v gonka:/data -p 30333:30333 gonka gonka-node --chain /data/gonka.json --base-path /data/node
#
# x86_64 only, as libtorch is pinned for it. Specifications, keys and models are not in the image: mount them.

FROM rust:1.95.0-bookworm AS build
# The paths of scripts/pinned, on which the runtime's bytes depend.
ENV GONKA_HOME=/opt/gonka \
    LIBTORCH=/opt/gonka/libtorch/torch \
    CARGO_HOME=/mnt/cargo \
    CARGO_TARGET_DIR=/mnt/target \
    CARGO_INCREMENTAL=0 \
    WASM_BUILD_WORKSPACE_HINT=/mnt/src
WORKDIR /mnt/src
# Before the sources, so that a change of theirs downloads nothing again.
COPY rust-toolchain.toml ./
COPY scripts scripts
RUN scripts/setup --build && rm -rf /var/lib/apt/lists/*
COPY . .

FROM build AS wasm
ARG NETWORK=mainnet
RUN package=gonka-runtime name=gonka_runtime \
 && if [ "$NETWORK" = testnet ]; then export GONKA_WASM_FEATURES=testnet; fi \
 && if [ "$NETWORK" = parachain ]; then package=gonka-para-runtime name=gonka_para_runtime; fi \
 && cargo check --locked --profile production --package $package \
 && mkdir /out \
 && cp /mnt/target/production/wbuild/$package/$name.compact.compressed.wasm /out/gonka_runtime-$NETWORK.wasm

FROM scratch AS runtime
COPY --from=wasm /out/ /

FROM build AS programs
ARG FEATURES=""
# libtorch is looked for at run time where it was at build time: its path is the same in both images.
RUN cargo build --profile production --locked --features "$FEATURES" \
      --package gonka-node --package gonka-worker --package gonka-gateway --package gonka-cli \
 && mkdir /out \
 && cd /mnt/target/production \
 && cp gonka-node gonka-worker gonka-gateway gonka /out/

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl libssl3 libstdc++6 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 gonka \
 && install -d -o gonka -g gonka /data
# The two folders must stay neighbours: the libraries find each other by relative paths.
COPY --from=programs /opt/gonka/libtorch/torch/lib /opt/gonka/libtorch/torch/lib
COPY --from=programs /opt/gonka/libtorch/nvidia /opt/gonka/libtorch/nvidia
COPY --from=programs /out/ /usr/local/bin/
USER gonka
WORKDIR /data
VOLUME /data
# Peers, RPC, metrics; worker; gateway.
EXPOSE 30333 9944 9615 9000 8080
CMD ["gonka", "--help"]
