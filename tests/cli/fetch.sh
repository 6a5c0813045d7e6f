#!/bin/sh
# `fetch` against a hub on this machine that fails in every way: a file is whole and right under its
# name, or not there.  Nothing here leaves the machine.
. tests/cli_lib.sh
cd "$scratch" || exit 1
command -v python3 >/dev/null || { echo "  skipped: python3 is not here"; good; finish; }
unset HF_ENDPOINT HF_TOKEN http_proxy https_proxy all_proxy HTTPS_PROXY ALL_PROXY no_proxy NO_PROXY

# The name of a model says how its weights are served.
cat >hub.py <<'END'
import hashlib, http.server, json, os, socketserver, sys
big = bytes((i * 7 + i // 251) % 256 for i in range(300000))
def lfs(data): return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
class Handler(http.server.BaseHTTPRequestHandler):
    seen = {}
    def head(self, status, length, *headers):
        self.send_response(status)
        for name, value in (("Content-Length", str(length)),) + headers: self.send_header(name, value)
        self.end_headers()
    def say(self, status, body, *headers):
        self.head(status, len(body), *headers)
        self.wfile.write(body)
    def do_GET(self):
        open("asked", "a").write("%s %s %s\n" % (self.path, self.headers.get("Range", "-"), self.headers.get("Authorization", "-")))
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[0] == "api": return self.api(parts[3])
        if parts[0] == "cdn": return self.say(200, big)
        if parts[0] in ("grade", "openai"): return self.dataset()
        name, file = parts[1], parts[-1]
        if file != "model.safetensors": return self.say(200, b'{"some": "config"}')
        self.weights(name)
    def api(self, name):
        if name == "none": return self.say(404, b"{}")
        if name == "gated": return self.say(401, b"{}")
        if name == "odd": return self.say(200, b'{"sha": 7}')
        if name == "half": return self.say(200, b'{"sha": "abc", "sib')
        files = [{"rfilename": "config.json", "size": 18}, {"rfilename": "model.safetensors", "size": len(big), "lfs": lfs(big)},
                 {"rfilename": "../../../escaped.safetensors", "size": 18}, {"rfilename": "/tmp/escaped.safetensors", "size": 18},
                 {"rfilename": "sub/model.safetensors", "size": 18}, {"rfilename": "pytorch_model.bin", "size": 18},
                 {"rfilename": "consolidated.safetensors", "size": 18}]
        if name == "gguf": files = [{"rfilename": "README.md", "size": 18}, {"rfilename": "q8.gguf", "size": 18}]
        if name == "stop": open("begun", "w").write("x")
        self.say(200, json.dumps({"sha": "c0ffee", "cardData": {"license": "gemma"}, "siblings": files}).encode())
    def weights(self, name):
        n = Handler.seen[name] = Handler.seen.get(name, 0) + 1
        start = int(self.headers["Range"][6:-1]) if "Range" in self.headers else 0
        part = ("Content-Range", "bytes %d-%d/%d" % (start, len(big) - 1, len(big)))
        if name == "busy" and n == 1: return self.say(429, b"slowly", ("Retry-After", "0"))
        if name == "missing": return self.say(404, b"gone")
        if name == "moved": return self.say(302, b"", ("Location", "http://localhost:%d/cdn/file" % self.server.server_port))
        if name == "loop": return self.say(302, b"", ("Location", self.path))
        if name == "escape": return self.say(302, b"", ("Location", "file:///etc/passwd"))
        if name == "hash": return self.say(200, big[::-1])
        if name == "size": return self.say(200, big + b"x")
        if name in ("cut", "norange") and n < 3:
            if name == "norange": start = 0
            self.head(206 if start else 200, len(big) - start, *([part] if start else []))
            return self.wfile.write(big[start:start + 100000])
        if name == "norange": return self.say(200, big)
        if name == "stale" and start: return self.say(206, big[start:], part)
        if name == "past" and start: return self.say(416, b"")
        if name == "stop":
            self.head(200, len(big))
            self.wfile.write(big[:50000])
            self.wfile.flush()
            import time; time.sleep(60)
        self.say(206 if start else 200, big[start:], *([part] if start else []))
    def dataset(self):
        try: self.say(200, open(os.path.join("served", os.path.basename(self.path)), "rb").read())
        except OSError: self.say(404, b"not here")
    def log_message(self, *_): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True
server = Server(("127.0.0.1", 0), Handler)
open("port.new", "w").write(str(server.server_port))
os.rename("port.new", "port")
server.serve_forever()
END
python3 hub.py 2>/dev/null &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$scratch"' EXIT
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s port ] || sleep 0.3; done
hub=http://127.0.0.1:$(cat port)
models=$XDG_CACHE_HOME/assay/models

model() { assay fetch model "org/$1" --endpoint "$hub/" >"out.$1" 2>"said.$1"; echo $? >"code.$1"; }
whole() { python3 -c "
import sys
big = bytes((i * 7 + i // 251) % 256 for i in range(300000))
print(open(sys.argv[1], 'rb').read() == big)" "$models/org/$1/model.safetensors" 2>/dev/null; }

# Those that wait a second for the next try, all at once.
for name in cut norange busy; do model $name & done
for name in good moved loop escape hash size missing none gated odd half gguf stale past; do
    case $name in stale | past)
        mkdir -p "$models/org/$name"
        head -c 1000 /dev/zero >"$models/org/$name/model.safetensors.part" ;;
    esac
    model $name
done
# Waits for the three above and not for the hub.
for name in cut norange busy; do
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -s code.$name ] || sleep 0.5; done
done

for name in good moved cut norange busy stale past; do
    same "$name: it is there, and nothing else is" "0 True 0" \
        "$(cat code.$name) $(whole $name) $(ls "$models/org/$name" | grep -c part)"
done
same "what a model needs and no more" "FETCHED.json config.json model.safetensors" \
    "$(ls "$models/org/good" | tr '\n' ' ' | sed 's/ $//')"
same "its folder is what is printed" "$models/org/good" "$(cat out.good)"
same "the licence is shown" 1 "$(grep -c 'org/good at commit c0ffee, licence gemma' said.good)"
same "and recorded, with digests" "gemma c0ffee 2 True" "$(python3 -c "
import hashlib, json, os
d = '$models/org/good/'
r = json.load(open(d + 'FETCHED.json'))
print(r['licence'], r['revision'], len(r['files']), all(hashlib.sha256(open(d + f['path'], 'rb').read()).hexdigest() == f['sha256'] for f in r['files']))")"
same "nothing was written elsewhere" "" "$(find "$scratch" /tmp/escaped.safetensors -name 'escaped*' 2>/dev/null)"
same "a cut file goes on where it was cut" "- bytes=100000- bytes=200000-" \
    "$(sed -n 's/.*cut.*model.safetensors \([^ ]*\) .*/\1/p' asked | tr '\n' ' ' | sed 's/ $//')"
same "it is in the list of models" 1 "$(assay list models | grep -c '^org/good ')"
: >asked
model good
same "again: only the list is asked for" "0 1" "$(cat code.good) $(wc -l <asked | tr -d ' ')"

fails() { # fails NAME TEXT [LEFT]: exit code 3, one line, no file under its name
    same "$1: $2" "3 1 1 0 ${3:-0}" "$(cat code.$1) $(grep -c '^assay:' said.$1) $(grep -c -- "$2" said.$1) \
$(ls "$models/org/$1" 2>/dev/null | grep -c 'safetensors$') $(ls "$models/org/$1" 2>/dev/null | grep -c 'part$')"
}
fails hash "SHA-256 .*, expected .*another file, and was not kept"
fails size "has 300001 bytes, expected 300000"
fails missing "HTTP 404"
fails loop "redirect" 1
fails escape "rotocol" 1
fails none "there is no such model or revision"
fails gated "HF_TOKEN set"
fails odd '"sha" is a number'
fails half "revision/main?blobs=true: "
fails gguf "no \*.safetensors; name one file with --file, such as q8.gguf"
assay fetch model org/gguf --file q8.gguf --endpoint "$hub" >out 2>said
same "one file" "0 $models/org/gguf/q8.gguf" "$? $(cat out)"

: >asked # a token goes to the hub, and not to where it redirects
rm -r "$models/org/moved"
HF_TOKEN=secret HF_ENDPOINT=$hub assay fetch model org/moved >out 2>said
same "a token stays with its host" "0 3 1" \
    "$? $(grep -c 'Bearer secret' asked) $(grep -c '^/cdn/file - -$' asked)"

# Interrupted, by the user and by death; then all of it.
for signal in INT KILL; do
    rm -rf "$models/org/stop" begun
    assay fetch model org/stop --endpoint "$hub" >out 2>said &
    fetching=$!
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
        [ "$(wc -c 2>/dev/null <"$models/org/stop/model.safetensors.part" | tr -d ' ')" = 50000 ] || sleep 0.25
    done
    kill -$signal $fetching
    wait $fetching 2>/dev/null
    code=$?
    [ $signal = INT ] && same "Ctrl-C says how to go on" "130 1" "$code $(grep -c 'goes on where it stopped' said)"
    same "$signal: what came is kept under another name" "50000 0" \
        "$(wc -c <"$models/org/stop/model.safetensors.part" | tr -d ' ') $(ls "$models/org/stop" | grep -c 'safetensors$')"
done
# A disk that is full, as far as a process can be told so.
(trap '' XFSZ; ulimit -f 40; model full)
same "no room: a line with the path" "3 1 1" \
    "$(cat code.full) $(grep -c '^assay' said.full) $(grep -c 'model.safetensors.part: File too large' said.full)"
model full
same "with room it goes on" "0 True" "$(cat code.full) $(whole full)"

# Without a network.
assay fetch model org/good --endpoint http://127.0.0.1:9 >out 2>said
same "no hub" "3 1 1" "$? $(wc -l <said | tr -d ' ') $(grep -c 'name a mirror with --endpoint' said)"
assay fetch dataset gsm8k --endpoint http://127.0.0.1:9 --data d >out 2>said
same "no mirror" "3 1" "$? $(grep -c 'try again, name a mirror with --endpoint, or put the file at d/gsm8k/train.jsonl yourself' said)"
https_proxy=http://127.0.0.1:9 assay fetch dataset gsm8k --data d >out 2>said
same "a proxy that is not there" "3 1" "$? $(grep -c "raw.githubusercontent.com.*onnect" said)"

# Datasets.
mkdir served
echo '{"question": "?", "answer": "#### 1"}' >served/train.jsonl
assay fetch dataset gsm8k --endpoint "$hub" --data d >out 2>said
same "another file than the manifest's" "3 1 0" "$? $(grep -c 'expected 17f347dc5147' said) $(ls d/gsm8k | wc -l | tr -d ' ')"
same "its licence is shown first" "assay: gsm8k, licence MIT, from https://github.com/openai/grade-school-math (grade_school_math/data)" "$(head -1 said)"
assay fetch dataset ai2_arc --data d >out 2>said
same "no address is known" "3 1" "$? $(grep -c 'get it from Hugging Face allenai/ai2_arc' said)"
if [ -r "$repo/../shared/data/gsm8k/test.jsonl" ]; then
    cp "$repo"/../shared/data/gsm8k/*.jsonl served
    assay fetch dataset gsm8k --endpoint "$hub" >out 2>said
    same "a dataset, into the cache" "0 $XDG_CACHE_HOME/assay/datasets/gsm8k" "$? $(cat out)"
    same "where it is found" "0 1" "$(assay prompts --task gsm8k --limit 1 >out 2>&1; echo $?) \
$(assay list datasets | grep -c "^gsm8k .*$XDG_CACHE_HOME.*cache")"
    : >asked
    assay fetch dataset gsm8k --endpoint "$hub" >out 2>said
    same "again: nothing is asked for" "0 0" "$? $(wc -l <asked | tr -d ' ')"
    echo >>"$XDG_CACHE_HOME/assay/datasets/gsm8k/test.jsonl"
    assay fetch dataset gsm8k --endpoint "$hub" >out 2>said
    same "a file that was changed stays as it is" "3 1" "$? $(grep -c 'move it away to fetch the official file' said)"
else
    echo "  skipped: ../shared/data is not here"
fi
usage() { # usage ARGUMENTS...: exit code 2
    assay fetch "$@" >out 2>said
    same "fetch $*" 2 $?
}
usage
usage dataset
usage dataset nosuch --data d
usage model noslash
usage model ../../x/y
usage model org/good --revision ../x
usage model org/good --data d
usage dataset gsm8k --file x
usage dataset gsm8k --endpoint ftp://x
cd "$repo" || exit 1
finish
