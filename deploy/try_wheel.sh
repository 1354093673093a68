#!/usr/bin/env bash
# Tries the wheel that `make release` built as a user would: an empty environment, a folder where
# nothing of the repository is seen, then fit, recommend, evaluate and serve. Usage: try_wheel.sh PYTHON FOLDER
set -euo pipefail
python=$1
release=$(cd "$2" && pwd)
shop=$(cd "$(dirname "$0")/.." && pwd)/docs/tutorials/shop.py
constraints=$(cd "$(dirname "$0")/.." && pwd)/constraints/ci.txt
place=$release/$(basename "$python")
wheel=$(ls "$release"/dist/metarec-*.whl)
rm -rf "$place"
"$python" -m venv "$place/env"
bin=$place/env/bin
"$bin/python" -m pip install --quiet --disable-pip-version-check -c "$constraints" "$wheel[report,serve]"
cd "$place"
unset PYTHONPATH
"$bin/python" "$shop" shop
"$bin/metarec" data check shop >check.txt
"$bin/metarec" fit shop --out model --preset tiny --encoder tfidf
"$bin/metarec" recommend model --bought tent-1 -k 3
"$bin/metarec" evaluate shop --preset tiny --encoder tfidf --baseline Popular --out report >evaluate.txt
ls report/*.html
METAREC_LANG=zh "$bin/metarec" domains e-commerce | head -1
port=$("$bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$bin/metarec" serve model --port "$port" >serve.txt 2>&1 &
served=$!
trap 'kill "$served" 2>/dev/null || true' EXIT
"$bin/python" - "$port" <<'END'
import json
import sys
import time
import urllib.request

root = f"http://127.0.0.1:{sys.argv[1]}"
for _ in range(240):
    try:
        urllib.request.urlopen(f"{root}/readyz", timeout=2)
        break
    except OSError:
        time.sleep(0.25)
else:
    raise SystemExit("the service did not become ready")
body = json.dumps({"history": [{"item_id": "tent-1"}], "k": 3}).encode()
asked = urllib.request.Request(
    f"{root}/v1/recommendations", body, {"content-type": "application/json"}
)
slate = json.load(urllib.request.urlopen(asked, timeout=30))
assert len(slate["items"]) == 3, slate
page = urllib.request.urlopen(root, timeout=30).read().decode()
assert "<title>" in page
print("served:", ", ".join(item["item_id"] for item in slate["items"]))
END
kill "$served"
wait "$served" || true
trap - EXIT
echo "$("$bin/metarec" --version) works with $("$bin/python" -V)"
