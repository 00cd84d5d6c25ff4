"""*gradecoin*: registration sealed by `cryptography` and by the `openssl` command, requests signed by PyJWT."""

import base64
import hashlib
import json
import os
import re
import subprocess
import threading
import time
import uuid

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP

from support.gradecoin import SHAPES, OriginalClient, Student, b64, seal

OAEP_SHA1 = OAEP(MGF1(hashes.SHA1()), hashes.SHA1(), None)


@pytest.fixture
def student(server):
    return Student(server)


@pytest.fixture
def refusal(server):
    """The one refusal."""
    stranger = Student(server, password="not a password")
    response = stranger.register()
    assert response.status_code == 400
    assert response.json().keys() == {"res", "message"}
    assert response.json()["res"] == "Error"
    return response


def test_register_and_sign_requests(student):
    assert re.fullmatch("[a-z2-9]{15}", student.password)
    response = student.register()
    assert response.status_code == 201, response.text
    assert response.json()["res"] == "Success"
    assert response.json()["message"].endswith(student.fingerprint)

    body = json.dumps({"source": student.fingerprint, "amount": 2}).encode()
    for naming in [{}, {"sub": student.id}, {"sub": student.fingerprint}]:
        answer = student.call(body, **naming)
        assert answer.status_code == 200, answer.text
        assert answer.json()["username"] == student.id
    assert student.call(body, tha=hashlib.md5(body).hexdigest()).status_code == 200
    assert student.call(body, tha=hashlib.sha256(body + b" ").hexdigest()).status_code == 401
    assert student.call(body, tha=hashlib.sha256(body).hexdigest().upper()).status_code == 401
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert student.call(body, key=other).status_code == 401


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_of_the_originals_clients_registers_and_pays(server, shape):
    client = OriginalClient(server, **shape)
    response = client.register()
    assert response.status_code == 201, response.text
    assert response.json()["message"].endswith(client.fingerprint)
    paid = client.pay()
    assert paid.status_code == 200, paid.text
    assert paid.json()["username"] == client.id
    assert paid.json()["expires_at"] <= time.time() + 300


def test_what_is_tolerated_has_a_bound(server):
    short = OriginalClient(server, bits=2040)
    message = short.register().json()["message"]
    assert "2040 bits; at least 2041" in message
    client = OriginalClient(server, bits=2047, spaces=True)
    assert client.register().status_code == 201
    body = b'{"amount": 2}'
    compact = hashlib.md5(b'{"amount":2}').hexdigest()
    assert client.call(body, sub=client.id, tha=compact).status_code == 200
    assert client.call(body, sub=client.id, tha=hashlib.sha256(b'{"amount":2}').hexdigest()).status_code == 401
    assert client.call(b'{"amount": 20}', sub=client.id, tha=compact).status_code == 401


def test_md5_is_for_accounts_that_came_by_gradecoin_only(server):
    student = Student(server, password="none")
    response = student.http.post("/register", json={"user_id": student.id, "public_key": student.pem})
    assert response.status_code == 200, response.text
    body = b'{"amount": 2}'
    md5 = student.call(body, sub=student.id, tha=hashlib.md5(body).hexdigest())
    assert md5.status_code == 401
    assert "gradecoin" in md5.json()["detail"]
    assert student.call(body, sub=student.id).status_code == 200


def test_openssl_command(server, tmp_path):
    def openssl(*words, data=None):
        return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True, cwd=tmp_path).stdout

    student = Student(server)
    (tmp_path / "gradecoin.pub").write_bytes(student.http.get("/gradecoin.pub").content)
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "my.key")
    pem = openssl("pkey", "-in", "my.key", "-pubout").decode()
    key, iv = openssl("rand", "-hex", "16").decode().strip(), openssl("rand", "-hex", "16").decode().strip()
    text = json.dumps(student.request(public_key=pem)).encode()
    sealed = openssl("enc", "-aes-128-cbc", "-K", key, "-iv", iv, data=text)
    sealed_key = openssl(
        "pkeyutl", "-encrypt", "-pubin", "-inkey", "gradecoin.pub", "-pkeyopt", "rsa_padding_mode:oaep",
        "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256", data=bytes.fromhex(key),
    )
    body = {"c": b64(sealed), "iv": b64(bytes.fromhex(iv)), "key": b64(sealed_key)}
    response = student.send(body)
    assert response.status_code == 201, response.text
    assert response.json()["message"].endswith(hashlib.sha256(pem.encode()).hexdigest())


def test_whatever_does_not_open_has_one_answer(student, refusal):
    http, text = student.http, json.dumps(student.request()).encode()
    good = seal(http, text)
    bad = [
        seal(http, text, oaep=OAEP_SHA1),
        seal(http, text, oaep=OAEP(MGF1(hashes.SHA1()), hashes.SHA256(), None)),
        seal(http, text, key=os.urandom(32)),
        seal(http, b"not JSON"),
        seal(http, b"{}"),
        seal(http, json.dumps(student.request(more="")).encode()),
        seal(http, json.dumps(student.request(passwd=1)).encode()),
        seal(http, b'{"student_id":"a","student_id":"a","passwd":"b","public_key":"c"}'),
        seal(http, text + bytes(16 - len(text) % 16), pad=False),
    ]
    for member in ["c", "iv", "key"]:
        bad += [good | {member: wrong} for wrong in ["", "!", "AAAA", good[member].rstrip("="), 1, None, {}]]
        data = bytearray(base64.b64decode(good[member]))
        data[len(data) // 2] ^= 1
        bad.append(good | {member: b64(data)})
    for body in bad:
        if body == good:
            continue
        response = student.send(body)
        assert (response.status_code, response.content) == (400, refusal.content), body
    assert student.send(good).status_code == 201


def test_padding_oracle_is_deaf(student, refusal):
    good = seal(student.http, json.dumps(student.request(passwd="not the password")).encode())
    data = base64.b64decode(good["c"])
    for delta in range(256):
        changed = data[:-17] + bytes([data[-17] ^ delta]) + data[-16:]
        response = student.send(good | {"c": b64(changed)})
        assert (response.status_code, response.content) == (400, refusal.content)
    for delta in range(256):
        iv = bytearray(base64.b64decode(good["iv"]))
        iv[-1] ^= delta
        assert student.send(good | {"iv": b64(iv)}).content == refusal.content


def test_wrong_or_used_passwords(server, student, refusal):
    other = Student(server)
    assert student.register(passwd=other.password).content == refusal.content
    assert student.register(student_id=other.id).content == refusal.content
    assert student.register(passwd="").content == refusal.content
    assert "public_key" in student.register(public_key="no key").json()["message"]
    assert student.register().status_code == 201, "failed attempts burn nothing"
    assert student.register().content == refusal.content
    third = Student(server, student.password)
    assert third.register(student_id=student.id).content == refusal.content


def test_one_of_twenty_at_once(server, student):
    keys = [Student(server, student.password).pem for _ in range(20)]
    bodies = [seal(student.http, json.dumps(student.request(public_key=pem)).encode()) for pem in keys]
    statuses = []
    threads = [
        threading.Thread(target=lambda body=body: statuses.append(student.send(body).status_code)) for body in bodies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [400] * 19


def test_a_class_is_imported_whole_or_not_at_all(server, tmp_path):
    tag = uuid.uuid4().hex[:8]
    list_file = tmp_path / "class.csv"
    list_file.write_bytes(
        f'\ufeffUser ID, Password\r\na{tag}, F7oGM2K9Q1vZxLp\r\nb{tag}, "with, comma"\r\n'.encode()
    )
    server.admin("invite", "--import", str(list_file))
    for name, password in [("a", "F7oGM2K9Q1vZxLp"), ("b", "with, comma")]:
        assert Student(server, password).register(student_id=name + tag).status_code == 201

    list_file.write_text(f"User ID, Password\nc{tag}, F7oGM2K9Q1vZxLp\nd {tag}, F7oGM2K9Q1vZxLp\na{tag}\n")
    with pytest.raises(subprocess.CalledProcessError) as error:
        server.admin("invite", "--import", str(list_file))
    assert "line 3: " in error.value.stderr and "line 4: " in error.value.stderr
    assert "F7oGM2K9Q1vZxLp" not in error.value.stderr
    assert Student(server, "F7oGM2K9Q1vZxLp").register(student_id="c" + tag).status_code == 400
