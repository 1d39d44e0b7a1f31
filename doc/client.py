#!/usr/bin/python3
"""A checking client for ftd. usage: client.py HOST PORT put FILE NAME | get NAME FILE | ls NAME"""
import hashlib, json, socket, struct, sys
host, port, command, *names = sys.argv[1:]
stream = socket.create_connection((host, int(port))).makefile("rwb")
def ask(request, body=b""):
    header, answer, content, entries = json.dumps(request).encode(), {"more": True}, bytearray(), []
    stream.write(struct.pack("<i", len(header)) + header + body), stream.flush()
    while answer.get("more"):
        answer = json.loads(stream.read(struct.unpack("<i", stream.read(4))[0]))
        content += stream.read(answer.get("body", 0))
        entries += answer.get("entries", [])
    return (answer, content, entries) if answer["status"] == "ok" else sys.exit(answer["message"])
def digest(data): return "sha256:" + hashlib.sha256(data).hexdigest()
if command == "put":
    data = open(names[0], "rb").read()
    ask({"opt": "upload", "filename": names[1], "filesize": len(data), "digest": digest(data)}, data)
elif command == "get":
    answer, data, _ = ask({"opt": "download", "filename": names[0], "digest": "sha256"})
    if answer["digest"] != digest(data): sys.exit("damaged on the way")
    open(names[1], "wb").write(data)
else:
    for entry in ask({"opt": "list", "filename": names[0]})[2]:
        print(entry["type"], entry["filesize"], entry.get("name") or entry["name_hex"], sep="\t")
