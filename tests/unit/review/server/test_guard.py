"""Who is let in, and what every answer carries."""

import pytest
from starlette.testclient import TestClient

from lossan.review import ImageFolder, Plan, open_review
from lossan.review._server import review_app
from lossan.review._server_guard import HEADERS, Hosts

TOKEN = "the-token-of-this-test"  # noqa: S105
ORIGIN = "http://127.0.0.1:8765"
ADDRESSES = ["/", "/page/style.css", "/api/state", "/api/items?rows=0&reader=A", "/image/0"]


@pytest.fixture
def stranger(base):
    """Return a client that never saw the token."""
    app = review_app(
        open_review(base / "findings", Plan()),
        ImageFolder(base / "images"),
        token=TOKEN,
        cookie="lossan_8765",
        hosts=Hosts(),
    )
    return TestClient(app, base_url=ORIGIN)


@pytest.mark.parametrize("address", ADDRESSES)
def test_without_the_token_nothing_is_shown(address, stranger):
    answer = stranger.get(address)
    assert answer.status_code == 403
    assert "with its token" in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("token", ["", "x", TOKEN + "x", TOKEN[:-1], "ä", "\x00"])
def test_a_wrong_token(token, stranger):
    assert stranger.get("/", params={"token": token}).status_code == 403
    stranger.cookies.set("lossan_8765", "wrong")
    assert stranger.get("/").status_code == 403


def test_the_token_opens_the_first_page_alone(stranger):
    assert stranger.get("/api/state", params={"token": TOKEN}).status_code == 403
    body = {"id": "12345678", "reader": "A", "row": 0, "action": "keep"}
    headers = {"origin": ORIGIN}
    assert (
        stranger.post(f"/api/decisions?token={TOKEN}", json=body, headers=headers).status_code
        == 403
    )


def test_the_cookie_stays_with_the_page(stranger):
    cookie = stranger.get("/", params={"token": TOKEN}).headers["set-cookie"]
    assert cookie == f"lossan_8765={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    assert stranger.get("/").status_code == 200
    assert stranger.get("/api/state").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:8765", "127.0.0.1.evil.test", "", "[::1", "10.0.0.1:8765"]
)
def test_another_host_name_is_refused(host, browse):
    browser = browse()
    for address in ADDRESSES:
        answer = browser.get(address, headers={"host": host})
        assert (answer.status_code, "host name" in answer.text) == (403, True)
    assert browser.press(0, "keep").status_code == 200
    assert browser.post({}, host=host).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:9000", "[::1]:8765", "127.8.8.8"])
def test_this_machine_by_any_of_its_names(host, browse):
    assert browse().get("/api/state", headers={"host": host}).status_code == 200


def test_names_of_an_open_server():
    hosts = Hosts(frozenset({"reading-room"}), any_address=True)
    assert hosts.allow("reading-room:8765")
    assert hosts.allow("10.0.0.1:8765")
    assert not hosts.allow("evil.test:8765")


@pytest.mark.parametrize(
    "origin", ["http://evil.test", "http://127.0.0.1:9999", "https://127.0.0.1:8765", "null", ""]
)
def test_a_write_from_another_origin_is_refused(origin, browse, kept):
    answer = browse().post(
        {"id": "12345678", "reader": "A", "row": 0, "action": "keep"}, origin=origin
    )
    assert answer.status_code == 403
    assert kept() == ()


def test_a_write_without_an_origin_is_refused(browse, kept):
    browser = browse()
    body = {"id": "12345678", "reader": "A", "row": 0, "action": "keep"}
    assert browser.client.post("/api/decisions", json=body).status_code == 403
    assert kept() == ()


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_site_asks_for_is_refused(site, browse):
    browser = browse()
    headers = {"sec-fetch-site": site}
    assert browser.get("/image/0", headers=headers).status_code == 403
    assert browser.get("/api/state", headers=headers).status_code == 403
    assert browser.post({}, **headers).status_code == 403
    assert browser.get("/", headers=headers).status_code == 200  # a click on the printed address


def test_a_form_cannot_write(browse, kept):
    browser = browse()
    body = '{"id": "12345678", "reader": "A", "row": 0, "action": "keep"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"origin": ORIGIN, "content-type": kind}
        answer = browser.client.post("/api/decisions", content=body, headers=headers)
        assert answer.status_code == 415
    assert kept() == ()


def test_a_large_body_is_refused_unread(browse):
    browser = browse()
    headers = {"origin": ORIGIN, "content-type": "application/json"}
    answer = browser.client.post("/api/decisions", content=b" " * 20_000, headers=headers)
    assert answer.status_code == 413
    pieces = (b" " * 1000 for _ in range(20))  # no length is stated
    answer = browser.client.post("/api/decisions", content=pieces, headers=headers)
    assert answer.status_code == 411


@pytest.mark.parametrize("address", [*ADDRESSES, "/nothing", "/image/999999", "/page/../app.py"])
def test_every_answer_carries_the_headers(address, browse, stranger):
    for client in (browse().client, stranger):
        answer = client.get(address)
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    policy = HEADERS["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_do_nothing(method, browse):
    browser = browse()
    for address in ("/", "/api/decisions", "/image/0"):
        answer = browser.client.request(method, address, headers={"origin": ORIGIN})
        assert answer.status_code in (403, 405, 415)


@pytest.mark.parametrize(
    "name", ["../_server.py", "..%2f_server.py", "%2e%2e/_server.py", "index.html/..", "", "x.js"]
)
def test_only_the_pages_files_are_served(name, browse):
    assert browse().get(f"/page/{name}").status_code == 404
