// What is so right now: place, circumstances, friends and searches, where the model reads them.

import { ask, randomName } from "../common/api.js";
import { LIST, byId, el, icon, toast } from "../common/dom.js";
import { tellFailure } from "../common/failures.js";
import { keep, user, saveFriends, searched, storeSearch } from "./user.js";
import { t } from "../common/language.js";

const RADII = [2, 10, 50, 250];
const MOST_VALUES = 12;
const MOST_SEARCHES = 5;

const known = { model: null };
let refresh = async () => {};

/** Learn what the model reads, draw it and return it; `again` asks for the list. */
export async function meetCircumstances(again) {
  refresh = again;
  known.model = await ask("GET", "v1/circumstances");
  const names = new Set(known.model.context.map((column) => column.name));
  keep({
    context: Object.fromEntries(Object.entries(user.context).filter(([name]) => names.has(name))),
  });
  if (!known.model.location) keep({ location: null, withinKm: null });
  draw();
  return known.model;
}

function draw() {
  const { location, context, friends, searches } = known.model;
  const groups = [
    location && places(),
    ...context.map(column),
    friends && friendsOf(),
    searches && searchesOf(),
  ].filter(Boolean);
  byId("circumstances").hidden = !groups.length;
  byId("circumstances-groups").replaceChildren(...groups);
}

const group = (title, ...children) =>
  el(
    "div",
    { class: "chips", role: "group", "aria-label": title },
    el("span", { class: "chips-title" }, title),
    children,
  );

const chip = (words, isOn, press) =>
  el(
    "button",
    { type: "button", class: "chip", "aria-pressed": String(isOn), onclick: press },
    words,
  );

const removable = (words, remove) =>
  el(
    "span",
    { class: "chip on" },
    words,
    el(
      "button",
      { type: "button", class: "chip-close", "aria-label": t`Remove ${words}`, onclick: remove },
      icon("close"),
    ),
  );

/** Change what is kept, then ask again; a change that is refused is taken back. */
async function change(changes) {
  const before = Object.fromEntries(Object.keys(changes).map((name) => [name, user[name]]));
  keep(changes);
  draw();
  try {
    await refresh();
  } catch (error) {
    keep(before);
    draw();
    tellFailure(error, { again: () => change(changes), topic: LIST });
  }
}

// ---------------------------------------------------------------- place

const isHere = (place) => user.location?.lat === place.lat && user.location?.lon === place.lon;

function places() {
  const here = known.model.places.map((place) =>
    chip(t`near ${place.title}`, isHere(place), () =>
      change(
        isHere(place)
          ? { location: null, withinKm: null }
          : { location: { lat: place.lat, lon: place.lon } },
      ),
    ),
  );
  const mine = navigator.geolocation ? [chip(t`where I am`, user.location?.isMine, whereIAm)] : [];
  const near = user.location
    ? RADII.map((km) =>
        chip(t`within ${km} km`, user.withinKm === km, () =>
          change({ withinKm: user.withinKm === km ? null : km }),
        ),
      )
    : [];
  return group(t`Place`, here, mine, near);
}

function whereIAm() {
  if (user.location?.isMine) {
    change({ location: null, withinKm: null });
    return;
  }
  navigator.geolocation.getCurrentPosition(
    ({ coords }) =>
      change({ location: { lat: coords.latitude, lon: coords.longitude, isMine: true } }),
    () => toast(t`The browser does not say where you are.`, { kind: "bad" }),
  );
}

// ---------------------------------------------------------------- circumstances

function column({ name, values, is_number: isNumber }) {
  const offered =
    values.length <= MOST_VALUES
      ? values
      : values.filter((_, at) => at % Math.ceil(values.length / MOST_VALUES) === 0);
  return group(
    name.replaceAll("_", " "),
    offered.map((value) => {
      const told = isNumber ? Number(value) : value;
      const isOn = user.context[name] === told;
      const { [name]: _was, ...others } = user.context;
      return chip(value, isOn, () =>
        change({ context: isOn ? others : { ...others, [name]: told } }),
      );
    }),
  );
}

// ---------------------------------------------------------------- friends and searches

function entry(label, placeholder, take) {
  const name = `told-${randomName().slice(0, 8)}`;
  const field = el("input", {
    id: name,
    type: "text",
    maxlength: "200",
    autocomplete: "off",
    placeholder,
  });
  return el(
    "form",
    {
      class: "joined chip-form",
      onsubmit: (event) => {
        event.preventDefault();
        if (field.value.trim()) take(field.value.trim());
      },
    },
    el("label", { for: name, class: "visually-hidden" }, label),
    field,
    el("button", { type: "submit" }, t`Add`),
  );
}

function friendsOf() {
  return group(
    t`Friends`,
    user.friends.map((id) =>
      removable(id, () => befriend(user.friends.filter((one) => one !== id))),
    ),
    entry(t`A friend's user id`, t`a user id…`, (id) =>
      befriend([...new Set([...user.friends, id])]),
    ),
  );
}

async function befriend(friends) {
  try {
    await saveFriends(friends);
    await change({ friends });
  } catch (error) {
    tellFailure(error, { again: () => befriend(friends) });
  }
}

function searchesOf() {
  const recent = [...new Set(searched())].slice(0, MOST_SEARCHES);
  return group(
    t`Searches`,
    recent.map((query) => chip(query, query === searched()[0], () => look(query))),
    entry(t`Search for`, t`what you look for…`, look),
  );
}

async function look(query) {
  try {
    await storeSearch(query);
    await change({});
  } catch (error) {
    tellFailure(error, { again: () => look(query) });
  }
}
