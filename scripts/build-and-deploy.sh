#!/usr/bin/env bash
# Builds the image and installs or upgrades the chart with the values of one kind of cluster. Run it again after a change:
# the image gets another tag.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TXT'
Usage: scripts/build-and-deploy.sh --type dev|staging|production [options]

  --type TYPE         which deploy/helm/values-TYPE.yaml
  --namespace NAME    default: multinic-system
  --registry HOST     the image is HOST/multinic-agent, and is pushed there
  --tag TAG           default: the version and what git describes, a new one for each change: 0.1.0-1a2b3c4d5e
  --load COMMAND      puts the image where the nodes find it, without a registry: COMMAND is run with a file, such as
                      'kind load image-archive' or 'k3s ctr images import'
  --skip-build        deploy an image that is there already
  --dry-run           print what would be run
  -h, --help

Examples:
  scripts/build-and-deploy.sh --type dev --load 'kind load image-archive'
  scripts/build-and-deploy.sh --type production --registry registry.example.org/infra --tag v1.0.0
TXT
}

fail() {
  echo "error: $1" >&2
  exit 2
}

type='' namespace=multinic-system registry='' tag='' load='' build=yes dry=''
while [ $# -gt 0 ]; do
  case "$1" in
    --type | --namespace | --registry | --tag | --load)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case "$1" in
        --type) type=$2 ;;
        --namespace) namespace=$2 ;;
        --registry) registry=$2 ;;
        --tag) tag=$2 ;;
        --load) load=$2 ;;
      esac
      shift 2
      ;;
    --skip-build) build='' && shift ;;
    --dry-run) dry=yes && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && fail "there is no option $1" ;;
  esac
done
case "$type" in
  dev | staging | production) ;;
  '') usage >&2 && fail 'say which: --type dev, staging or production' ;;
  *) fail "there is no type $type: choose dev, staging or production" ;;
esac
# A tag for each content: nodes pull a tag once, and a Deployment that does not change starts nothing.
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
revision=$(git describe --always --dirty --abbrev=10 --exclude='*' 2>/dev/null || echo unknown)
case "$revision" in *-dirty | unknown) revision=$revision-$(date +%Y%m%d%H%M%S) ;; esac
tag=${tag:-${version//+/_}-$revision}
repository=${registry:+$registry/}multinic-agent
values=deploy/helm/values-$type.yaml

run() {
  echo "+ $*"
  [ -n "$dry" ] || "$@"
}

need() {
  command -v "$1" >/dev/null || [ -n "$dry" ] || fail "$1 is not installed: $2"
}

need kubectl 'it makes and labels the namespace'
need helm 'it installs the chart'
builder=''
if [ -n "$build" ] || [ -n "$load" ]; then
  for each in docker podman buildah; do
    if [ -z "$builder" ] && command -v "$each" >/dev/null; then builder=$each; fi
  done
  [ -n "$builder" ] || [ -n "$dry" ] || fail 'none of docker, podman and buildah is installed'
fi
if [ -n "$build" ]; then
  run "${builder:-docker}" build --build-arg DIST=compiled --build-arg "VERSION=$version" \
    --build-arg "REVISION=$revision" --tag "$repository:$tag" --file Dockerfile .
  if [ -n "$registry" ]; then
    run "${builder:-docker}" push "$repository:$tag"
  fi
fi
if [ -n "$load" ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  case "${builder:-docker}" in
    buildah) run buildah push "$repository:$tag" "docker-archive:$folder/image.tar:$repository:$tag" ;;
    *) run "${builder:-docker}" save --output "$folder/image.tar" "$repository:$tag" ;;
  esac
  # Words of the command are options of their own.
  # shellcheck disable=SC2086
  run $load "$folder/image.tar"
fi

# Agents need the host, which Pod Security forbids where a namespace does not say otherwise.
if [ -n "$dry" ] || ! kubectl get namespace "$namespace" >/dev/null 2>&1; then
  run kubectl create namespace "$namespace"
fi
run kubectl label namespace "$namespace" --overwrite pod-security.kubernetes.io/enforce=privileged
run helm upgrade --install multinic-agent deploy/helm/ --namespace "$namespace" --values "$values" \
  --set "controller.image.repository=$repository" --set "controller.image.tag=$tag" --wait --timeout 5m
run kubectl get deployment --namespace "$namespace" multinic-agent-controller
