# Chromium: a program; nothing to start.

chromium_start() {
    command -v chromium >/dev/null || install_packages chromium
    chromium_status
}

chromium_stop() {
    say "nothing to stop"
}

chromium_status() {
    command -v chromium >/dev/null || fail "not installed"
    say "$(command -v chromium)"
}
