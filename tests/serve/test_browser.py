"""The page in a real browser: Debian's chromium and its driver, where they are installed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.serving import Page, serving

from serve.conftest import write_photo

pytest.importorskip("gradio")
webdriver = pytest.importorskip("selenium.webdriver")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    DRIVER is None or shutil.which("chromium") is None, reason="needs chromium and chromium-driver"
)
PATIENCE_S = 120  # on a busy machine, with WebGL in software
OPTIONS = (
    "--headless=new --no-sandbox --disable-dev-shm-usage --window-size=1300,1000 --use-gl=angle "
    "--use-angle=swiftshader --enable-unsafe-swiftshader"
)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with serving("indoor") as answering:
        yield answering


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for option in OPTIONS.split():
        options.add_argument(option)
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path / "downloads")})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    one = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield one
    one.quit()


def wait(browser: Any, met: Callable[[Any], Any]) -> Any:
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, PATIENCE_S, ignored_exceptions=[StaleElementReferenceException]).until(met)


def one(browser: Any, selector: str) -> Any:
    """The first element of a kind, once it is there."""
    return wait(browser, lambda b: b.find_elements("css selector", selector))[0]


def drop(browser: Any, *files: Path) -> None:
    one(browser, "#um-drop input[type=file]").send_keys("\n".join(map(str, files)))


def titles(browser: Any) -> list[str]:
    return [tab.text for tab in browser.find_elements("css selector", "#um-look .um-tab")]


def asked(browser: Any) -> set[str]:
    """Addresses that the browser has asked for."""
    events = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}


def test_a_photo_its_maps_and_its_shape(page: Page, browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    trimesh = pytest.importorskip("trimesh")
    browser.get(page.where)
    drop(browser, write_photo(tmp_path / "room.jpg", (480, 640)))
    wait(browser, lambda b: titles(b) == ["Depth", "Normals", "Classes", "Trust"])
    for image in browser.find_elements("css selector", "#um-look img"):
        wait(browser, lambda b, image=image: image.get_property("naturalWidth") > 0)

    one(browser, "#um-look .um-tab:nth-child(3)").click()
    assert one(browser, "#um-look .um-tag-right").text == "Classes"
    named = [chip.text for chip in browser.find_elements("css selector", "#um-look .um-class .um-chip")]
    stage = one(browser, "#um-look .um-stage")
    ActionChains(browser).move_to_element_with_offset(stage, 40, 30).perform()
    tip = one(browser, "#um-look .um-under")
    wait(browser, lambda b: tip.is_displayed() and " m" in tip.text)
    assert tip.text.split(" · ")[0] in named
    ActionChains(browser).move_to_element(stage).click_and_hold().move_by_offset(150, 0).release().perform()
    assert int(one(browser, "#um-look .um-slide").get_property("value")) > 55

    canvas = one(browser, "#um-shape canvas")
    assert canvas.size["width"] > 200
    ActionChains(browser).move_to_element(canvas).click_and_hold().move_by_offset(60, 20).release().perform()
    one(browser, '#um-links a[download="room.glb"]').click()
    shape = tmp_path / "downloads" / "room.glb"
    wait(browser, lambda b: shape.exists())
    mesh = trimesh.load(shape, force="mesh")
    assert 1000 < len(mesh.vertices) <= 100_000
    assert mesh.vertices[:, 2].max() < 0
    elsewhere = [url for url in asked(browser) if not url.startswith((page.where, "data:", "blob:", "chrome"))]
    assert not elsewhere


def test_two_tabs_and_a_text_that_is_called_a_photo(page: Page, browser: Any, tmp_path: Path) -> None:
    (tmp_path / "words.jpg").write_text("these are words")
    browser.get(page.where)
    first = browser.current_window_handle
    drop(browser, tmp_path / "words.jpg")
    assert "words.jpg: not a picture" in one(browser, "#um-status .um-error").text
    browser.switch_to.new_window("tab")
    browser.get(page.where)
    drop(browser, write_photo(tmp_path / "second.jpg"), write_photo(tmp_path / "third.jpg"))
    wait(browser, lambda b: len(b.find_elements("css selector", "#um-strip .um-strip button")) == 2)
    one(browser, "#um-strip .um-strip button:nth-child(2)").click()
    wait(browser, lambda b: "third.jpg" in one(b, "#um-look .um-about").text)
    browser.switch_to.window(first)
    assert not titles(browser)
    drop(browser, write_photo(tmp_path / "first.jpg"))
    wait(browser, lambda b: "first.jpg" in one(b, "#um-look .um-about").text)
    assert not browser.find_elements("css selector", "#um-status .um-error")
