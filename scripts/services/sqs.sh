# Amazon SQS and SNS as ministack plays them: a private instance on 127.0.0.1, any credentials. A program of its own, in
# a virtual environment beside its data.

sqs_port=${KOMBU_SQS_PORT:-54566}
sqs_package='ministack==1.5.33'

sqs_start() {
    sqs_find_data
    options=$(sqs_options)
    if sqs_runs; then
        [ "$(cat "$data.options" 2>/dev/null)" != "$options" ] || { sqs_status; return; }
        end_process "$pid" TERM # it was started with another port or durability
    fi
    if sqs_answers; then
        say "127.0.0.1:$sqs_port (running already, not from this checkout)"
        return
    fi
    sqs_find_program || sqs_install
    printf '%s\n' "$options" >"$data.options"
    set --
    while IFS= read -r option; do set -- "$@" "$option"; done <"$data.options"
    sqs_launch "$@"
    sqs_status
}

sqs_stop() {
    sqs_find_data
    if sqs_runs; then
        end_process "$pid" TERM
        say "stopped"
    else
        say "not running from this checkout"
    fi
    forget_data
}

sqs_status() {
    sqs_find_data
    sqs_answers || fail "does not answer on 127.0.0.1:$sqs_port"
    say "127.0.0.1:$sqs_port"
}

sqs_find_data() {
    find_data sqs kombu.version "$(id -un)"
}

sqs_find_program() {
    [ "$(cat "$data/kombu.version" 2>/dev/null)" = "$sqs_package" ]
}

sqs_install() {
    # Where it is made it stays: a virtual environment does not like to be moved. KOMBU_SQS_VENV is one that has it.
    python=${PYTHON:-python3}
    rm -rf "$data"
    mkdir -m 700 "$data"
    if [ -n "${KOMBU_SQS_VENV:-}" ]; then
        ln -s "$KOMBU_SQS_VENV" "$data/venv"
    else
        say "installing $sqs_package from the package index"
        "$python" -m venv "$data/venv" >"$data.log" 2>&1 ||
            fail "$python could not make a virtual environment (on Debian: apt-get install python3-venv); see $data.log"
        "$data/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$sqs_package" >"$data.log" 2>&1 ||
            fail "pip could not install $sqs_package; see $data.log"
    fi
    printf '%s\n' "$sqs_package" >"$data/kombu.version"
}

sqs_options() {
    # One a line: its environment. Without BIND_HOST it would listen everywhere.
    printf '%s\n' BIND_HOST=127.0.0.1 MINISTACK_HOST=127.0.0.1 "GATEWAY_PORT=$sqs_port" "HOME=$data/home" \
        "TMPDIR=$data/home" "STATE_DIR=$data/state" SERVICES=sqs,sns,sts LOG_LEVEL=WARNING PYTHONUNBUFFERED=1
    if [ "${KOMBU_DURABLE:-0}" = 1 ]; then
        printf '%s\n' PERSIST_STATE=1
    fi
}

sqs_launch() {
    # The launcher's shell becomes the program, and knows its number; the last word is what it is recognised by.
    mkdir -p "$data/home" "$data/state"
    sqs_durable >"$data/durable.py"
    [ "${KOMBU_DURABLE:-0}" = 1 ] && program="$data/durable.py" || program="$data/venv/bin/ministack"
    launch KOMBU_SQS_PORT "$sqs_port" env "$@" sh -c 'echo $$ >"$1"; exec "$2" "$3"' sh \
        "$data/sqs.pid" "$data/venv/bin/python" "$program"
}

sqs_durable() {
    # It writes its state when it ends, which one that is killed does not. Here it writes before it answers, as AWS does.
    cat <<'PROGRAM'
from ministack import app as ministack
from ministack.core.persistence import save_state
from ministack.services import sns, sqs

answer = ministack.app


async def app(scope, receive, send):
    action = dict(scope.get("headers", ())).get(b"x-amz-target", b"")
    if scope["type"] != "http" or action.startswith((b"AmazonSQS.Get", b"AmazonSQS.List")):
        return await answer(scope, receive, send)
    said = []

    async def hear(event):
        said.append(event)

    await answer(scope, receive, hear)
    save_state("sqs", sqs.get_state())
    if not action:
        save_state("sns", sns.get_state())
    for event in said:
        await send(event)


ministack.app = app
ministack.main()
PROGRAM
}

sqs_runs() {
    process_of "$data/sqs.pid" "$data/venv/bin/python"
}

sqs_answers() {
    "${PYTHON:-python3}" - "$sqs_port" 2>/dev/null <<'ASK'
import sys
import urllib.request

with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/_ministack/health", timeout=2) as answer:
    sys.exit(answer.status != 200)
ASK
}
