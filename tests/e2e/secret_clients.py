#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients that hand marked secrets to a running sfu-ctl in every way there is, rightly and wrongly.
Usage: secret_clients.py PORT JWT_SECRET. Writes lines "name value" of all that no log may have, those
that the server made as well. Loopback only."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request

from ctl_http_test import TEXT, WebSocket

PORT, JWT_SECRET = int(sys.argv[1]), sys.argv[2]
FINGERPRINT = ":".join(["AB"] * 32)


def marked(name):
    """A fresh secret, told to whoever searches the logs."""
    value = f"Planted{base64.urlsafe_b64encode(os.urandom(18)).decode()}"
    tell(name, value)
    return value


def tell(name, value):
    print(name, value)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(user, key=JWT_SECRET):
    body = {"sub": user, "aud": "authenticated", "iss": "http://127.0.0.1:9/auth/v1", "exp": int(time.time()) + 600,
            "nonce": b64(os.urandom(9))}
    text = b64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + "." + b64(json.dumps(body).encode())
    token = text + "." + b64(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest())
    tell("jwt", token)
    tell("jwt-signature", token.rsplit(".", 1)[1])
    return token


class Client:
    def __init__(self, path="/ws", extra=""):
        self.ws = WebSocket(PORT, path, extra)
        self.sent = 0

    def request(self, kind, /, **payload):
        """The frames up to the ACK, and the ACK's body."""
        self.sent += 1
        self.raw(json.dumps({"v": 1, "type": kind, "msgId": f"m{self.sent}", "ts": 1, "seq": self.sent,
                             "payload": payload}))
        results = {}
        while True:
            opcode, data = self.ws.receive()
            if opcode != TEXT:
                continue
            frame = json.loads(data)
            if frame["type"] == "ACK":
                return results, frame["ack"]
            results[frame["type"]] = frame["payload"]

    def raw(self, text):
        self.ws.send(TEXT, text.encode())


def get(path, headers=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{PORT}{path}",
                                                           headers=headers or {}), timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def authenticated(device, user):
    c = Client()
    results, _ = c.request("HELLO", client={"deviceId": device, "ext": ["resume"]})
    tell("resume-token", results["WELCOME"]["resumeToken"])
    _, ack = c.request("AUTH", accessToken=jwt(user))
    assert ack["ok"], ack
    c.request("E2EE_CAPS", insertableStreams=True, sframe=True)
    return c


def refused_ways():
    c = Client(f"/ws?token={marked('query')}", f"Authorization: Bearer {marked('header')}\r\n")
    assert not c.request("AUTH", accessToken=marked("opaque-token"))[1]["ok"]
    assert not c.request("AUTH", accessToken=jwt("ann", "another key that is long enough to be one"))[1]["ok"]
    c.request("AUTH", accessToken={"token": marked("token-in-object")})
    c.request("AUTH", accessToken=[marked("token-in-list")])
    c.request(f"{marked('unknown-type')}", accessToken=marked("unknown-payload"))
    c.request("HELLO", client={"deviceId": "secrets-device"}, resume={"resumeToken": marked("resume")})
    c.raw('{"v":1,"v":1,"type":"AUTH","msgId":"d","payload":{"accessToken":"%s"}}' % marked("duplicate"))
    c.raw('{"v":1,"type":"AUTH","payload":{"accessToken":"%s"' % marked("no-json"))
    c.request("PING")
    for path in ("/health?token=%s", "/metrics?token=%s", "/%s", "/metrics/%s"):
        get(path % marked("path"))
    assert get("/metrics", {"Authorization": f"Bearer {marked('metrics-token-wrong')}"}) == 401


def in_room(device, user, room):
    c = authenticated(device, user)
    results, ack = c.request("ROOM_CREATE", roomId=room)
    assert ack["ok"], ack
    token = results["ROOM_CREATED"]["joinToken"]
    tell("join-token", token)
    assert not c.request("ROOM_JOIN", roomId=room, joinToken=marked("join-token-wrong"))[1]["ok"]
    results, ack = c.request("ROOM_JOIN", roomId=room, joinToken=token)
    assert ack["ok"], ack
    tell("turn-credential", results["ROOM_JOIN_OK"]["turn"]["iceServers"][0]["credential"])
    c.request("E2EE_READY", epoch=results["ROOM_JOIN_OK"]["epoch"])
    return c


def packages(c, target):
    for how in ({}, {"targetDeviceId": "nobody-here"}, {"targetDeviceId": target}, {"targetDeviceId": 5}):
        c.request("KEY_PACKAGE", epoch=1, ciphertext=marked("ciphertext") * 2, sig=marked("sig") * 2,
                  senderPublicKey=marked("public-key"), salt=marked("salt"), **how)
    c.request("KEY_PACKAGE", epoch=1, ciphertext=marked("long-ciphertext") * 4000, targetDeviceId=target)
    c.request("REKEY_BEGIN", epoch=2, secret=marked("rekey"))
    c.request("KEY_ACK", epoch=2, fromDeviceId="somebody-else", secret=marked("key-ack"))


def media(c):
    for direction in ("send", "recv"):
        results, ack = c.request("TRANSPORT_CREATE", direction=direction)
        assert ack["ok"], ack
        t = results["TRANSPORT_CREATED"]
        tell("ice-password", t["iceParameters"]["password"])
        c.request("TRANSPORT_CONNECT", transportId=t["transportId"],
                  dtlsParameters={"role": "client", "fingerprints": [{"algorithm": marked("alg")[:15],
                                                                     "value": FINGERPRINT}]})
        results, _ = c.request("ICE_RESTART", transportId=t["transportId"])
        restarted = results.get("ICE_RESTART_OK", {}).get("iceParameters")
        if restarted:
            tell("ice-password", restarted["password"])
    c.request("PRODUCE", transportId=t["transportId"], kind="audio", rtpParameters={"codecs": [{"mimeType": marked("mime")}]})


refused_ways()
a = in_room("secrets-device", "ann", "secrets-room")
b = in_room("secrets-other", "ann", "secrets-room")
packages(a, "secrets-other")
media(a)
a.request("call.invite", to="bea", callId="c", callsV2JoinToken=marked("call-token"))
b.ws.sock.close()
