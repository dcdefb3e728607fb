#!/usr/bin/env bash
# Write the files of a release to $DIST. `make release` calls it, and has written the SBOM before.
set -euo pipefail
export LC_ALL=C SOURCE_DATE_EPOCH

fail() {
  printf 'make release: %s\n' "$@" >&2
  exit 1
}

# An unpacked source archive is no repository, though it may be inside one.
changes=
[ ! -e .git ] || changes=$(git status --porcelain)
if [ -n "$changes" ] && [ -z "${DIRTY:-}" ]; then
  fail "these files are not committed; commit or remove them, or set DIRTY=1 for a trial:" "$changes"
fi
command -v "$KUBECTL" >/dev/null || fail "kubectl is not on PATH; name it with KUBECTL=/path/to/kubectl"

# The checksums go first and come last: without them the files are not complete.
rm -f "$DIST"/{SHA256SUMS,crds.yaml} "$DIST"/install-*.yaml "$DIST"/secret_sync-*.{whl,tar.gz}
"$BIN/hatchling" build --directory "$DIST"
"$BIN/python" -m secret_sync crds > "$DIST/crds.yaml"

for overlay in deploy/overlays/*/; do
  name=$(basename "$overlay")
  file=$DIST/install-$name.yaml
  objects=$("$KUBECTL" kustomize "$overlay")
  {
    echo "# secret-sync $VERSION with deploy/overlays/$name. Apply crds.yaml first."
    printf '%s\n' "$objects" | sed "s|image: secret-sync:$VERSION\$|image: $IMAGE|"
  } > "$file"
  grep -q "image: $IMAGE\$" "$file" || fail "deploy/base has another image than secret-sync:$VERSION"
done

cd "$DIST"
sha256sum secret_sync-*.{whl,tar.gz} crds.yaml install-*.yaml sbom.cdx.json > .SHA256SUMS
mv .SHA256SUMS SHA256SUMS
echo "$DIST: the files of secret-sync $VERSION, with the image $IMAGE"
