# Sourced by the scripts: says what it does, and gets what is missing.
#
# say TEXT…               a step, in one line
# ensure_build_tools      a C compiler and what fetches Rust
# ensure_command CMD PKG  one command, from its Debian package
# ensure_rust             cargo of at least the version that Cargo.toml asks for
# in_group CMD…           runs CMD in a process group of its own; whatever it leaves running is stopped

say() { printf '==> %s\n' "$*" >&2; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Installs Debian packages where that is possible, says which are missing where it is not.
install_packages() {
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    say "installing $*"
    if [ -z "${packages_updated:-}" ]; then
      apt-get update -qq
      packages_updated=1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  else
    fail "missing: $* (Debian's names); install them, or run this as root on Debian"
  fi
}

ensure_command() {
  command -v "$1" >/dev/null 2>&1 || install_packages "${@:2}"
}

# SQLite and the cryptographic library are C, compiled here; nothing else of the system is linked.
ensure_build_tools() {
  ensure_command cc gcc libc6-dev
}

# Whether version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

rust_version() { rustc --version 2>/dev/null | cut -d ' ' -f 2; }

ensure_rust() {
  local wanted
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH="$HOME/.cargo/bin:$PATH"
  fi
  if ! command -v cargo >/dev/null 2>&1; then
    ensure_command curl curl ca-certificates
    say "installing Rust $wanted by rustup, into $HOME/.cargo"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
      sh -s -- -y --quiet --no-modify-path --profile minimal --component rustfmt --component clippy \
        --default-toolchain "$wanted" || fail "rustup cannot be fetched; install Rust $wanted or newer by hand"
    PATH="$HOME/.cargo/bin:$PATH"
  fi
  if ! at_least "$(rust_version)" "$wanted"; then
    command -v rustup >/dev/null 2>&1 || fail "Rust $wanted or newer is needed; here is $(rust_version)"
    say "installing Rust $wanted beside $(rust_version)"
    rustup --quiet toolchain install "$wanted" --profile minimal --component rustfmt --component clippy
    export RUSTUP_TOOLCHAIN=$wanted
  fi
  say "Rust $(rust_version)"
}

# Ends the group that in_group started, gently first.
stop_group() {
  local left=$1 tries=50
  kill -0 -- "-$left" 2>/dev/null || return 0
  kill -TERM -- "-$left" 2>/dev/null || return 0
  while [ "$tries" -gt 0 ] && kill -0 -- "-$left" 2>/dev/null; do
    sleep 0.1
    tries=$((tries - 1))
  done
  kill -KILL -- "-$left" 2>/dev/null || true
}

running_group=
trap '[ -z "$running_group" ] || stop_group "$running_group"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

in_group() {
  local status=0
  set -m
  "$@" </dev/null &
  running_group=$!
  set +m
  wait "$running_group" || status=$?
  stop_group "$running_group"
  running_group=
  return "$status"
}
