// Runs once for a gr.HTML component, whose `element` holds any number of viewers; they come and go with its value.
const under = new Map(); // address of an under.png -> its pixels

async function pixels(address) {
  if (!under.has(address)) {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    if (under.size > 8) under.clear(); // those of photos that are no longer shown
    under.set(address, context.getImageData(0, 0, canvas.width, canvas.height));
  }
  return under.get(address);
}

const part = (viewer, name) => viewer.querySelector(`.um-${name}`);

function cut(viewer, share) {
  const percent = Math.round(100 * Math.min(1, Math.max(0, share)));
  part(viewer, "slide").value = percent;
  part(viewer, "stage").style.setProperty("--cut", `${percent}%`);
}

// Depth and class where the pointer is: under.png holds millimetres in red and green, the class id in blue.
async function tell(viewer, x, y) {
  const map = await pixels(viewer.dataset.under);
  const at = 4 * (Math.floor(y * map.height) * map.width + Math.floor(x * map.width));
  const [high, low, id] = map.data.slice(at, at + 3);
  const words = [];
  if (id !== 255) words.push(JSON.parse(viewer.dataset.names)[id]);
  if (high !== 255 || low !== 255) words.push(`${((256 * high + low) / 1000).toFixed(2)} m`);
  const tip = part(viewer, "under");
  tip.textContent = words.join(" · ");
  tip.hidden = words.length === 0;
  tip.style.left = `${100 * x}%`;
  tip.style.top = `${100 * y}%`;
  tip.classList.toggle("um-flip", x > 0.7);
}

async function mark(viewer, id) {
  const canvas = part(viewer, "mark");
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  viewer.classList.toggle("um-marked", id !== null);
  if (id === null) return;
  const map = await pixels(viewer.dataset.under);
  const veil = context.createImageData(map.width, map.height);
  for (let i = 0; i < map.data.length; i += 4) veil.data[i + 3] = map.data[i + 2] === id ? 0 : 190;
  context.putImageData(veil, 0, 0);
}

function choose(viewer, tab) {
  const tabs = [...viewer.querySelectorAll(".um-tab")];
  tabs.forEach((each) => each.setAttribute("aria-selected", each === tab));
  viewer.querySelectorAll(".um-key").forEach((key, i) => (key.hidden = tabs[i] !== tab));
  for (const side of ["left", "right"]) {
    part(viewer, side).src = tab.dataset[side];
    part(viewer, `tag-${side}`).textContent = part(viewer, side).alt = tab.dataset[`${side}Title`];
  }
  mark(viewer, null);
}

function place(event) {
  const box = event.target.closest(".um-stage").getBoundingClientRect();
  const share = (value) => Math.min(0.999, Math.max(0, value));
  return [share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height)];
}

element.addEventListener("pointerdown", (event) => {
  if (event.target.closest(".um-stage")) cut(event.target.closest(".um-viewer"), place(event)[0]);
});
element.addEventListener("pointermove", (event) => {
  const stage = event.target.closest(".um-stage");
  if (!stage) return;
  const viewer = stage.closest(".um-viewer");
  const [x, y] = place(event);
  if (event.buttons) cut(viewer, x);
  tell(viewer, x, y);
});
element.addEventListener("pointerout", (event) => {
  const stage = event.target.closest(".um-stage");
  if (stage && !stage.contains(event.relatedTarget)) part(stage.closest(".um-viewer"), "under").hidden = true;
  if (event.target.closest(".um-class")) mark(event.target.closest(".um-viewer"), null);
});
element.addEventListener("input", (event) => {
  if (event.target.matches(".um-slide")) cut(event.target.closest(".um-viewer"), event.target.value / 100);
});
element.addEventListener("click", (event) => {
  const tab = event.target.closest(".um-tab");
  if (tab) choose(tab.closest(".um-viewer"), tab);
});
for (const kind of ["pointerover", "focusin", "click"]) {
  element.addEventListener(kind, (event) => {
    const button = event.target.closest(".um-class");
    if (button) mark(button.closest(".um-viewer"), Number(button.dataset.id));
  });
}
element.addEventListener("focusout", (event) => {
  if (event.target.closest(".um-class")) mark(event.target.closest(".um-viewer"), null);
});

// On a phone what is new lies below what was pressed.
watch("value", () => {
  if (window.innerWidth < 700 && part(element, "viewer")) element.scrollIntoView({ behavior: "smooth" });
});
