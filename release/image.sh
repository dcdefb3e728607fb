#!/usr/bin/env bash
# Build the image, for this machine or for $PLATFORMS. `make image` calls it.
set -euo pipefail

fail() {
  printf 'make image: %s\n' "$@" >&2
  exit 1
}

created=$("$PYTHON" -c 'import datetime, sys
print(datetime.datetime.fromtimestamp(int(sys.argv[1]), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))' \
  "$SOURCE_DATE_EPOCH")
# shellcheck disable=SC2206 # several flags
arguments=(--build-arg "VERSION=$VERSION" --build-arg "CREATED=$created"
  --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)"
  --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" $IMAGE_FLAGS)

# Qemu runs the programs of another architecture, once the kernel knows it.
runs_here() {
  case "$1:$(uname -m)" in
    linux/amd64:x86_64 | linux/arm64*:aarch64 | linux/arm64*:arm64) return ;;
    linux/amd64:*) grep -qsx enabled /proc/sys/fs/binfmt_misc/qemu-x86_64 ;;
    linux/arm64*) grep -qsx enabled /proc/sys/fs/binfmt_misc/qemu-aarch64 ;;
    *) fail "the platform $1 is not supported: use linux/amd64 or linux/arm64" ;;
  esac
}

check_platforms() {
  for platform in ${PLATFORMS//,/ }; do
    runs_here "$platform" || fail "this machine does not run programs of $platform." \
      "Install qemu for it (Debian: qemu-user-static), or build on a machine of that kind" \
      "and combine the images: see docs/release.md"
  done
}

manifest() {
  check_platforms
  "$1" manifest rm "$IMAGE" >/dev/null 2>&1 || "$1" rmi "$IMAGE" >/dev/null 2>&1 || true
  "$1" build --timestamp "$SOURCE_DATE_EPOCH" --platform "$PLATFORMS" --manifest "$IMAGE" "${arguments[@]}" .
  size="$PLATFORMS; push it with: $1 manifest push --all $IMAGE docker://$IMAGE"
}

if docker info >/dev/null 2>&1; then
  if [ -n "$PLATFORMS" ]; then
    known=$(docker buildx inspect --bootstrap 2>/dev/null) ||
      fail "docker has no buildx, which several platforms need"
    for platform in ${PLATFORMS//,/ }; do
      grep -Eq "^Platforms:.* $platform[*,]?( |,|\$)" <<<"$known" || fail \
        "docker buildx does not build for $platform: see \`docker buildx inspect\` and docs/release.md"
    done
    archive=$DIST/secret-sync-$VERSION.oci.tar
    output=(--output "type=oci,dest=$archive,rewrite-timestamp=true") where=$archive
    case " $IMAGE_FLAGS " in *" --push "*) output=() where=pushed ;; esac
    # Attestations have the time of the build in them.
    docker buildx build --platform "$PLATFORMS" --provenance=false --sbom=false --tag "$IMAGE" \
      ${output[@]+"${output[@]}"} "${arguments[@]}" .
    size="$PLATFORMS; $where"
  else
    docker build --tag "$IMAGE" "${arguments[@]}" .
    size=$(docker image inspect --format '{{.Size}}' "$IMAGE")
  fi
elif podman info >/dev/null 2>&1; then
  if [ -n "$PLATFORMS" ]; then
    manifest podman
  else
    podman build --timestamp "$SOURCE_DATE_EPOCH" --tag "$IMAGE" "${arguments[@]}" .
    size=$(podman image inspect --format '{{.Size}}' "$IMAGE")
  fi
elif buildah info >/dev/null 2>&1; then
  if [ -n "$PLATFORMS" ]; then
    manifest buildah
  else
    buildah build --timestamp "$SOURCE_DATE_EPOCH" --tag "$IMAGE" "${arguments[@]}" .
    size=$(buildah images --json "$IMAGE" | sed -n 's/.*"size": "\(.*\)",*/\1/p')
  fi
else
  fail "docker, podman and buildah do not work here; 'make tools' installs buildah"
fi
echo "$IMAGE: $size; $DIST/sbom.cdx.json lists its components"
