# Both services from one build, and the gateway with what it serves: `docker build --target orders-service .`

# The console needs Node.js to be built and nothing to be served.
FROM debian:bookworm-slim AS console
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates nodejs npm \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY console/package.json console/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY console .
RUN node build.mjs /console

FROM nginx:1.28.2 AS gateway
COPY gateway/nginx.conf /etc/nginx/nginx.conf
COPY gateway/health.conf /etc/nginx/templates/health.conf.template
COPY gateway/gateway.conf.template /etc/nginx/templates/default.conf.template
COPY gateway/public /usr/share/nginx/public
COPY --from=console /console /usr/share/nginx/console

# The dependencies are a layer of their own, made from the manifests and empty crates. It stays until a manifest or
# the lock file changes, with any builder.
FROM rust:1.95.0-bookworm AS manifests
WORKDIR /src
COPY . .
RUN find . -type f -path '*/src/*' -not -name lib.rs -not -name main.rs -delete \
    && find . -type f -not -name '*.rs' -not -name Cargo.toml -not -name Cargo.lock -delete \
    && echo 'fn main() {}' >/empty-crate.rs \
    && find . -name '*.rs' -exec cp /empty-crate.rs {} \; \
    && find . -type d -empty -delete

FROM rust:1.95.0-bookworm AS build
WORKDIR /src
# Statements are checked against .sqlx, not against a database.
ENV SQLX_OFFLINE=true \
    CARGO_PROFILE_RELEASE_STRIP=symbols
COPY --from=manifests /src .
RUN cargo build --release --locked -p orders-service -p payments-service
COPY .sqlx .sqlx
COPY migrations migrations
COPY shared-events shared-events
COPY service-kit service-kit
COPY orders-service orders-service
COPY payments-service payments-service
# Newer than the empty crates, so that cargo builds them again; but not what build scripts wrote to target, or it would
# build most dependencies again as well.
RUN find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
    && cargo build --release --locked -p orders-service -p payments-service

# Nothing but glibc and the binary; the admin address stays on loopback, where the health check runs.
# Each service has a port of its own. When both start anew, one may be given the address that the other had, which the
# gateway goes on to use for a moment: then nobody must answer there, rather than the wrong one.
FROM gcr.io/distroless/cc-debian12:nonroot AS runtime
USER 65532:65532

FROM runtime AS orders-service
ENV LISTEN_ADDR=0.0.0.0:3000
EXPOSE 3000
COPY --from=build /src/target/release/orders-service /usr/local/bin/
COPY sbom/orders-service.cdx.json /usr/share/doc/orders-service/sbom.cdx.json
ENTRYPOINT ["/usr/local/bin/orders-service"]

FROM runtime AS payments-service
ENV LISTEN_ADDR=0.0.0.0:3001
EXPOSE 3001
COPY --from=build /src/target/release/payments-service /usr/local/bin/
COPY sbom/payments-service.cdx.json /usr/share/doc/payments-service/sbom.cdx.json
ENTRYPOINT ["/usr/local/bin/payments-service"]
