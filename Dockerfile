# Ferry's image: control workers, the API and the CLI, from the npm tarball of a release and nothing else:
#   npm run release -- --only npm && docker compose build
# Storage and compute workers stay on their hosts: docs/decisions/027-what-the-compose-file-holds.md.
ARG NODE_IMAGE=node:24.21.0-bookworm-slim

FROM ${NODE_IMAGE} AS packages
ARG FERRY_VERSION
COPY build/release/ferry-${FERRY_VERSION}.tgz /tmp/ferry.tgz
# The release's own lock file is in it; none of the packages needs its install script. The SDK brings libraries for all platforms: one is ours.
RUN npm install --global --prefix /opt/ferry --ignore-scripts --no-audit --no-fund /tmp/ferry.tgz \
	&& find /opt/ferry -path '*/core-bridge/releases/*' -prune ! -name "$(uname -m)-unknown-linux-gnu" -exec rm -r {} +

FROM ${NODE_IMAGE}
COPY --from=packages /opt/ferry /opt/ferry
ENV PATH=/opt/ferry/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NODE_ENV=production FERRY_HEALTH_ADDRESS=127.0.0.1:9465
# Nothing here is its own, and it writes nowhere.
USER 10001:10001
# A worker's; the API has another one (docker-compose.yml).
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 \
	CMD ["node", "-e", "fetch('http://127.0.0.1:9465/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["ferry"]
CMD ["worker", "control"]
