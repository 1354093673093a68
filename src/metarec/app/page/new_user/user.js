// The user on this page: a random id in this browser, and what the service keeps under it.

import { ask, randomName } from "../common/api.js";

const PLACE = "metarec.person"; // as it was called before: a browser keeps its user
const CHANGED = "metarec.changed"; // names the latest change of what the service keeps

const blank = () => ({
  userId: `web-${randomName()}`,
  skipped: [],
  wish: "",
  filter: "",
  diversity: 0,
  context: {},
  location: null,
  withinKm: null,
});

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE));
    return kept && typeof kept.userId === "string" ? { ...blank(), ...kept } : null;
  } catch {
    return null;
  }
}

const found = read();

export const user = { ...(found || blank()), profile: {}, events: [], friends: [] };

export function keep(changes = {}) {
  Object.assign(user, changes);
  const { userId, skipped, wish, filter, diversity, context, location, withinKm } = user;
  try {
    localStorage.setItem(
      PLACE,
      JSON.stringify({
        userId,
        skipped: skipped.slice(-500),
        wish,
        filter,
        diversity,
        context,
        location,
        withinKm,
      }),
    );
  } catch {
    /* a browser that keeps nothing: the visit lasts as long as the page */
  }
}

/** What the service knows of this user; a user it has not met has no events. */
export async function load() {
  keep();
  if (found) await loadKept();
}

/** What the service keeps of the user now. */
export async function loadKept() {
  try {
    const kept = await ask("GET", `v1/users/${encodeURIComponent(user.userId)}?last=200`);
    Object.assign(user, { events: kept.events, profile: kept.profile, friends: [] });
    if (kept.friends)
      user.friends = (await ask("GET", friendsAt())).friends.map((friend) => friend.friend_id);
  } catch (error) {
    if (error.status !== 404) throw error;
    Object.assign(user, { events: [], profile: {}, friends: [] });
  }
}

/**
 * Call `then` where another tab of this browser has told the service something or has become
 * another user, as soon as this one is looked at.
 */
export function onOtherTabs(then) {
  let isStale = false;
  const look = async () => {
    if (!isStale || document.visibilityState !== "visible") return;
    isStale = false;
    Object.assign(user, read() || {});
    await then();
  };
  addEventListener("storage", ({ key }) => {
    isStale ||= key === CHANGED || (key === PLACE && read()?.userId !== user.userId);
    look();
  });
  document.addEventListener("visibilitychange", look);
}

/** Let other tabs know that the service keeps something new of this user. */
function tellOtherTabs() {
  try {
    localStorage.setItem(CHANGED, randomName());
  } catch {
    /* a browser that keeps nothing has no tabs that share a user */
  }
}

const friendsAt = () => `v1/users/${encodeURIComponent(user.userId)}/friends`;

export async function saveFriends(friends) {
  await ask("PUT", friendsAt(), { friends });
  tellOtherTabs();
}

/** Queries, the newest first. */
export const searched = () =>
  user.events
    .filter((event) => event.query)
    .map((event) => event.query)
    .reverse();

export async function storeSearch(query) {
  const event = { event_id: randomName(), kind: "search", query };
  await ask("POST", "v1/events", { events: [{ ...event, user_id: user.userId }] });
  user.events.push({ ...event, item_id: null, timestamp: Date.now() / 1000 });
  tellOtherTabs();
}

/**
 * Tell the service what was done. The id is chosen first, so that trying again stores nothing
 * twice.
 */
export function newEvent(itemId, title, kind, slateId) {
  return {
    event_id: randomName(),
    item_id: itemId,
    title,
    kind,
    value: null,
    slate_id: slateId || null,
  };
}

/** An act that takes back what was said of an item. */
export const takingBack = (itemId, title) => newEvent(itemId, title, "undo", null);

export const takesBack = (event) => event.kind === "undo";

export async function store(event) {
  const { event_id, item_id, kind, value, slate_id } = event;
  await ask("POST", "v1/events", {
    events: [{ event_id, user_id: user.userId, item_id, kind, value, slate_id }],
  });
  user.events.push({ ...event, timestamp: Date.now() / 1000 });
  tellOtherTabs();
}

export const saveProfile = async (profile) => {
  await ask("PUT", `v1/users/${encodeURIComponent(user.userId)}`, { profile });
  user.profile = profile;
  tellOtherTabs();
};

export const forget = () => ask("DELETE", `v1/users/${encodeURIComponent(user.userId)}`);

export function startOver() {
  keep({ ...blank(), profile: {}, events: [], friends: [] });
}

/** The last word on each item that was not taken back, latest first: [{item_id, title, kind}]. */
export function opinions() {
  const last = new Map();
  for (const event of [...user.events].reverse())
    if (event.item_id && !last.has(event.item_id)) last.set(event.item_id, event);
  return [...last.values()].filter((event) => !takesBack(event));
}

export const opinionOf = (itemId) => opinions().find((one) => one.item_id === itemId) || null;

const degrees = () => user.location && { lat: user.location.lat, lon: user.location.lon };

/** The body of every question about this user. */
export const asking = () => ({
  user_id: user.userId,
  wish: user.wish || null,
  context: user.context,
  location: degrees(),
});
