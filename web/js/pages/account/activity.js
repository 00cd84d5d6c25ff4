// What happened in the account, by key, so that a key that leaked stands out; and the one button for
// that case.

import { factsInWords } from "../../lib/activity/facts.js";
import { alarmOf, groupBy, groupEvents, isUrgent, loadDeeds, loadTrail } from "../../lib/events.js";
import { has, moment, relative, t, tn } from "../../lib/i18n.js";
import { details, loadKeys, origin } from "../../lib/keys.js";
import { startSignedIn } from "../../lib/page.js";
import { offerToRevoke, revoke } from "../../lib/revoke.js";
import { serverNow } from "../../lib/store.js";
import { ask, button, byId, fill, h, notice } from "../../lib/ui.js";

/** @import { Event, Group } from "../../lib/events.js" */
/** @import { Child } from "../../lib/ui.js" */
/** @import { Keys } from "../../lib/keys.js" */
/** @import { Here } from "../../lib/page.js" */

startSignedIn(import.meta.url, async (here) => show(here, 2));

/**
 * What keys are called, by their thumbprints: facts of events name keys by these.
 * @type {Map<string, string>}
 */
const labels = new Map();

/**
 * @param {Here} here
 * @param {number} pages how many pages of events to read
 */
async function show(here, pages) {
  const { account } = here.session;
  const [keys, trail] = await Promise.all([loadKeys(here), loadTrail(account, pages)]);
  const { events, backTo, alarmsBackTo } = trail;
  for (const { thumbprint, label } of [...keys.revoked, ...keys.live])
    labels.set(thumbprint, label);
  const groups = groupEvents(events, keys);
  const urgent = groups.filter(isUrgent);
  const oldest = backTo ?? events.at(-1)?.at;
  const mayBeMore = backTo !== undefined || alarmsBackTo !== undefined;
  fill(
    byId("content"),
    verdict(urgent.length, alarmsBackTo),
    groups.map((group) => card(here, keys, group, () => show(here, pages))),
    oldest !== undefined &&
      h("p", { class: "small" }, t("activity.since", { when: moment(oldest) })),
    mayBeMore && button(t("activity.older"), () => show(here, pages * 2)),
  );
}

/**
 * Whether something deserves a look. That nothing does is said without a limit only if there was none.
 * @param {number} urgent how many keys
 * @param {number | undefined} backTo how far back it was looked, if not to the beginning
 */
function verdict(urgent, backTo) {
  const when = backTo === undefined ? "" : moment(backTo);
  if (urgent > 0) {
    const what = h("p", null, t("activity.alarms.what"));
    const limit = when && h("p", null, t("activity.alarms.since", { when }));
    return notice("danger", tn("activity.alarms", urgent), what, limit);
  }
  if (!when) return notice("good", t("activity.quiet"), h("p", null, t("activity.quiet.what")));
  const what = h("p", null, t("activity.quiet.since.what"));
  return notice("warning", t("activity.quiet.since", { when }), what);
}

/**
 * @param {Here} here
 * @param {Keys} keys
 * @param {Group} group
 * @param {() => Promise<void>} again
 */
function card(here, keys, group, again) {
  const { key, label, alarms, places, refusals, lastAt, id } = group;
  const heading = id ? label : t("activity.account");
  const isLive = key?.revoked_at === null;
  const facts = [
    key && t(`key.kind.${key.kind}`),
    key && origin(key),
    t("activity.last", { when: relative(lastAt) }),
    refusals > 0 && tn("activity.refusals", refusals),
  ];
  return h(
    "section",
    { class: "card" },
    h(
      "h2",
      null,
      heading,
      key === keys.mine && key && h("span", { class: "badge good" }, t("key.this-browser")),
      id && !isLive && h("span", { class: "badge" }, t("key.removed")),
    ),
    h("p", { class: "small" }, facts.filter((fact) => fact).join(" · ")),
    alarms.length > 0 && alarmList(alarms, isLive),
    places.length > 0 && placeTable(group),
    h(
      "details",
      null,
      h("summary", null, tn("activity.events", group.events.length)),
      eventTable(group.events, heading),
    ),
    key && h("details", null, h("summary", null, t("activity.key-details")), details(key, keys)),
    isLive && isolateButton(here, keys, group, again),
  );
}

/**
 * Each kind of alarm once, with how often it came and when last.
 * @param {Event[]} alarms
 * @param {boolean} isLive
 */
function alarmList(alarms, isLive) {
  const kinds = groupBy(alarms, (event) => alarmOf(event) ?? "");
  const items = Array.from(kinds, ([kind, events]) => {
    const times = events.reduce((sum, { times: count = 1 }) => sum + count, 0);
    const last = Math.max(...events.map(({ at, last_at }) => last_at ?? at));
    const from = [...new Set(events.map(({ address }) => address).filter((address) => address))];
    return h(
      "li",
      null,
      h("strong", null, t(`alarm.${kind}`)),
      " ",
      t(`alarm.${kind}.what`),
      h("br"),
      h(
        "span",
        { class: "small" },
        [tn("activity.times", times), t("activity.last", { when: relative(last) }), ...from].join(
          " · ",
        ),
      ),
    );
  });
  return h("div", { class: `notice ${isLive ? "danger" : "info"}` }, h("ul", null, items));
}

/**
 * A table that stays one for screen readers where the style stacks its cells.
 * @param {string} label
 * @param {string[]} columns the last parts of their texts' keys
 * @param {Child[][]} rows
 */
function table(label, columns, rows) {
  const heads = columns.map((name) =>
    h("th", { scope: "col", role: "columnheader" }, t(`activity.${name}`)),
  );
  const body = rows.map((cells) =>
    h(
      "tr",
      { role: "row" },
      cells.map((cell, column) =>
        h("td", { role: "cell", "data-label": heads[column]?.textContent }, cell),
      ),
    ),
  );
  return h(
    "table",
    { role: "table", "aria-label": label },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
    h("tbody", { role: "rowgroup" }, body),
  );
}

/** @param {string | undefined} address */
const code = (address) => address && h("span", { class: "code" }, address);

/** @param {Group} group */
function placeTable({ places, label }) {
  const rows = places.map(({ address, first, last }) => [
    code(address),
    moment(first),
    moment(last),
  ]);
  return table(t("activity.places.of", { label }), ["address", "first", "last-time"], rows);
}

/**
 * @param {Event[]} events
 * @param {string} label
 */
function eventTable(events, label) {
  const rows = events.map((event) => [moment(event.at), words(event), code(event.address)]);
  return table(t("activity.events.of", { label }), ["when", "what", "address"], rows);
}

/** @param {Event} event */
function words({ event, facts = {}, times, actor, reason }) {
  const more = [
    times && times > 1 && tn("activity.times", times),
    ...factsInWords(facts, (thumbprint) => labels.get(thumbprint) ?? thumbprint),
    actor && t("activity.by", { actor }),
    reason,
  ];
  const small = more.filter((text) => text).join(" · ");
  const name = has(`event.${event}`) ? t(`event.${event}`) : t("event.unknown", { code: event });
  return h("span", null, name, small && h("span", { class: "small" }, h("br"), small));
}

// ---- Isolate

/**
 * @param {Here} here
 * @param {Keys} keys
 * @param {Group} group
 * @param {() => Promise<void>} again
 */
function isolateButton(here, keys, group, again) {
  const isolate = async () => {
    const { key } = group;
    const done = key && (await revoke(key, here, keys));
    if (!done) return;
    await offerToRevoke(done.added, here, true);
    await again();
    await showDeeds(here, group);
  };
  const isMine = group.key === keys.mine;
  const props = {
    class: isUrgent(group) && "danger",
    "aria-label": !isMine && t("isolate.of", { label: group.label }),
  };
  return h(
    "div",
    { class: "actions" },
    button(t(isMine ? "isolate.this-browser" : "isolate.button"), isolate, props),
    h("span", { class: "hint" }, t(isMine ? "isolate.this-browser.what" : "isolate.what")),
  );
}

/**
 * What an isolated key did since a time that the person chooses.
 * @param {Here} here
 * @param {Group} group
 */
async function showDeeds({ session }, { id, label, alarms }) {
  const first = Math.min(serverNow() - 7 * 86_400, ...alarms.map(({ at }) => at));
  const value = new Date(first * 1000).toISOString().slice(0, 10);
  const date = h("input", { id: "since", type: "date", value });
  const place = h("div", { role: "status" });
  const read = async () => {
    const since = Math.floor((date.valueAsNumber || 0) / 1000);
    const { events, backTo, signInsBackTo } = await loadDeeds(session.account, { key: id, since });
    const none = h("p", null, t("isolate.nothing"));
    fill(
      place,
      h("p", null, tn("activity.events", events.length)),
      backTo !== undefined && h("p", null, t("isolate.back-to", { when: moment(backTo) })),
      signInsBackTo !== undefined &&
        h("p", null, t("isolate.sign-ins-back-to", { when: moment(signInsBackTo) })),
      events.length > 0 ? eventTable(events, label) : none,
    );
  };
  date.addEventListener("change", read);
  await read();
  await ask({
    title: t("isolate.deeds", { label }),
    body: [
      h("p", null, t("isolate.deeds.what")),
      h("div", { class: "field" }, h("label", { for: "since" }, t("isolate.since")), date),
      place,
    ],
    cancel: t("dialog.close"),
  });
}
