// The person on this page: a random id in this browser, and what the service keeps under it.

import { ask, randomName } from "./api.js";

const PLACE = "metarec.person";

const blank = () => ({ userId: `web-${randomName()}`, skipped: [], wish: "", filter: "", diversity: 0, context: {}, location: null, withinKm: null });

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE));
    return kept && typeof kept.userId === "string" ? { ...blank(), ...kept } : null;
  } catch {
    return null;
  }
}

const found = read();

export const person = { ...(found || blank()), profile: {}, events: [], friends: [] };

export function keep(changes = {}) {
  Object.assign(person, changes);
  const { userId, skipped, wish, filter, diversity, context, location, withinKm } = person;
  try {
    localStorage.setItem(PLACE, JSON.stringify({ userId, skipped: skipped.slice(-500), wish, filter, diversity, context, location, withinKm }));
  } catch { /* a browser that keeps nothing: the visit lasts as long as the page */ }
}

/** What the service knows of this person; a person it has not met has no events. */
export async function load() {
  keep();
  if (!found) return;
  try {
    const kept = await ask("GET", `v1/users/${encodeURIComponent(person.userId)}?last=200`);
    Object.assign(person, { events: kept.events, profile: kept.profile, friends: [] });
    if (kept.friends) person.friends = (await ask("GET", friendsAt())).friends.map((friend) => friend.friend_id);
  } catch (error) {
    if (error.status !== 404) throw error;
    Object.assign(person, { events: [], profile: {}, friends: [] });
  }
}

const friendsAt = () => `v1/users/${encodeURIComponent(person.userId)}/friends`;

export const saveFriends = (friends) => ask("PUT", friendsAt(), { friends });

/** Queries, the newest first. */
export const searched = () => person.events.filter((event) => event.query).map((event) => event.query).reverse();

export async function storeSearch(query) {
  const event = { event_id: randomName(), kind: "search", query };
  await ask("POST", "v1/events", { events: [{ ...event, user_id: person.userId }] });
  person.events.push({ ...event, item_id: null, timestamp: Date.now() / 1000 });
}

/** Tell the service what was done. The id is chosen first, so that trying again stores nothing twice. */
export function newEvent(itemId, title, kind, slateId) {
  return { event_id: randomName(), item_id: itemId, title, kind, value: null, slate_id: slateId || null };
}

/** An act that takes back what was said of an item. */
export const takingBack = (itemId, title) => newEvent(itemId, title, "undo", null);

export const takesBack = (event) => event.kind === "undo";

export async function store(event) {
  const { event_id, item_id, kind, value, slate_id } = event;
  await ask("POST", "v1/events", { events: [{ event_id, user_id: person.userId, item_id, kind, value, slate_id }] });
  person.events.push({ ...event, timestamp: Date.now() / 1000 });
}

export const saveProfile = async (profile) => {
  await ask("PUT", `v1/users/${encodeURIComponent(person.userId)}`, { profile });
  person.profile = profile;
};

export const forget = () => ask("DELETE", `v1/users/${encodeURIComponent(person.userId)}`);

export function startOver() {
  keep({ ...blank(), profile: {}, events: [], friends: [] });
}

/** The last word on each item that was not taken back, latest first: [{item_id, title, kind}]. */
export function opinions() {
  const last = new Map();
  for (const event of [...person.events].reverse()) if (event.item_id && !last.has(event.item_id)) last.set(event.item_id, event);
  return [...last.values()].filter((event) => !takesBack(event));
}

export const opinionOf = (itemId) => opinions().find((one) => one.item_id === itemId) || null;

const degrees = () => person.location && { lat: person.location.lat, lon: person.location.lon };

/** The body of every question about this person. */
export const asking = () => ({ user_id: person.userId, wish: person.wish || null, context: person.context, location: degrees() });
