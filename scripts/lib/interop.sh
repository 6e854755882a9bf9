# Sourced by the scripts that let other implementations read what ours wrote.
#
# tools              the folder with what they need, kept between runs
# pip_install PKG…   Python packages of the versions named, in a virtual environment at $tools/venv
# has_node           whether Node 20 or newer and npm are there
# npm_install PKG…   npm packages of the versions named, at $tools/node

tools=$PWD/${CARGO_TARGET_DIR:-target}/interop
case ${CARGO_TARGET_DIR:-} in /*) tools=$CARGO_TARGET_DIR/interop ;; esac
mkdir -p "$tools"

# Debian packs ensurepip apart from python3: without it a virtual environment has no pip.
make_venv() {
  ensure_command python3 python3 python3-venv
  if [ -x "$tools/venv/bin/python" ] && "$tools/venv/bin/python" -m pip --version >/dev/null 2>&1; then
    return
  fi
  if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
    install_packages python3-venv
  fi
  rm -rf "$tools/venv"
  python3 -m venv "$tools/venv"
}

pip_install() {
  make_venv
  "$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" || fail "pip cannot install $*"
}

has_node() {
  command -v npm >/dev/null 2>&1 && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'
}

npm_install() {
  mkdir -p "$tools/node"
  [ -f "$tools/node/package.json" ] || printf '{"private":true}\n' >"$tools/node/package.json"
  npm install --prefix "$tools/node" --silent --no-audit --no-fund --ignore-scripts --save-exact "$@" ||
    fail "npm cannot install $*"
}
