// The page of the keyrings in every state, with the way to it: see states.js.
import { click, fillIn, find, sees } from "./app.js";
import { accountPage, closeDialogs, newMember, newStranger, publicPage, staying } from "./scene.js";

/** @import { Scene, Then, Visitor, Way } from "./scene.js" */

const PASSWORD = "correct horse battery";

/** An online keyring in the making: the recovery code is shown. @type {(visitor: Visitor, scene: Scene) => Promise<void>} */
async function makeOnline({ page }, { t }) {
  await fillIn(page, t("keyring.field.online-new-password"), PASSWORD);
  await fillIn(page, t("keyring.field.online-again"), PASSWORD);
  await click(page, t("online.make"));
  await find(page, "checkbox", t("online.code.saved"));
}

/** An online keyring in the making is made, and has an entry. @type {(visitor: Visitor, scene: Scene) => Promise<void>} */
async function storeOnline({ page }, { t }) {
  await click(page, t("online.code.saved"), "checkbox");
  await click(page, t("online.code.store"));
  await find(page, "heading", t("online.ways"));
  await click(page, t("keyring.add"));
  await fillIn(page, t("keyring.field.entry-name"), "PC");
  await click(page, t("keyring.add.button"));
  await sees(page, t("keyring.unsaved"));
}

/**
 * The page of the keyrings, for an account that has none online yet.
 * @param {Then} then
 */
const keyringPage = (then) => accountPage("/account/keyring", then, newMember);

/** Somebody whose online keyring is in the making. */
const onlineMaker = staying(async (scene) => ({
  visitor: await keyringPage(makeOnline)(scene),
}));

/** The same, with the keyring made, which stays open. */
const onlineHolder = staying(async (scene) => {
  const { visitor } = await onlineMaker(scene);
  await storeOnline(visitor, scene);
  return { visitor };
});

/** The same, with a passkey that opens it, and closed. */
const passkeyHolder = staying(async (scene) => {
  const { visitor } = await onlineHolder(scene);
  const { page } = visitor;
  const { t } = scene;
  await closeDialogs(page);
  await click(page, t("online.passkey"));
  await click(page, t("online.passkey.button"));
  await find(page, "button", t("online.passkey.remove"));
  await click(page, t("keyring.close"));
  await find(page, "button", t("online.open.passkey"));
  return { visitor };
});

/** Somebody without an account here, with a keyring file that stays open. */
const fileHolder = staying(async (scene) => ({
  visitor: await publicPage(
    "/account/keyring",
    async ({ page }, { t }) => {
      await click(page, t("keyring.create.title"), "DisclosureTriangle");
      await fillIn(page, t("keyring.field.new-passphrase"), PASSWORD);
      await fillIn(page, t("keyring.field.again"), PASSWORD);
      await click(page, t("keyring.create"));
      await click(page, t("keyring.add"));
      await fillIn(page, t("keyring.field.entry-name"), "PC");
      await click(page, t("keyring.add.button"));
      await find(page, "button", t("keyring.rename.of", { name: "PC" }));
    },
    newStranger,
  )(scene),
}));

/**
 * What is above a keyring that stays open, whoever holds it.
 * @param {(scene: Scene) => Promise<{ visitor: Visitor }>} holder
 * @param {(page: Visitor["page"], t: Scene["t"]) => Promise<unknown>} then
 * @returns {Way}
 */
const above = (holder, then) => async (scene) => {
  const { visitor } = await holder(scene);
  await closeDialogs(visitor.page);
  await then(visitor.page, scene.t);
  return visitor;
};

/**
 * A dialog that a button of the keyring opens.
 * @param {(scene: Scene) => Promise<{ visitor: Visitor }>} holder
 * @param {string} opener the button's text
 * @param {string} inside the text of a button of the dialog
 * @param {string} [name] the entry that the button is for
 */
const dialog = (holder, opener, inside, name = "PC") =>
  above(holder, async (page, t) => {
    await click(page, t(opener, { name }));
    await page.waitForSelector("dialog");
    await find(page, "button", t(inside));
  });

/** @type {Record<string, Way>} */
export const KEYRING_STATES = {
  keyring: accountPage("/account/keyring"),
  "keyring, nobody signed in": publicPage("/account/keyring", async ({ page }, { t }) => {
    await click(page, t("online.forgotten"), "DisclosureTriangle");
    await find(page, "textbox", t("keyring.field.recovery-code"));
  }),
  "keyring, the two passphrases differ": publicPage("/account/keyring", async ({ page }, { t }) => {
    await click(page, t("keyring.create.title"), "DisclosureTriangle");
    await fillIn(page, t("keyring.field.new-passphrase"), PASSWORD);
    await fillIn(page, t("keyring.field.again"), "something else");
    await click(page, t("keyring.create"));
    await sees(page, t("keyring.error.different"));
  }),
  "keyring file, open": above(fileHolder, (page, t) => sees(page, t("keyring.unsaved"))),
  "keyring file, adding an entry": above(fileHolder, async (page, t) => {
    await click(page, t("keyring.add"));
    await click(page, t("keyring.add.paste"), "radio");
    await find(page, "textbox", t("keyring.field.private-key"));
  }),
  "keyring file, a key that is none": above(fileHolder, async (page, t) => {
    await click(page, t("keyring.add"));
    await fillIn(page, t("keyring.field.entry-name"), "rubbish");
    await click(page, t("keyring.add.paste"), "radio");
    await fillIn(page, t("keyring.field.private-key"), "rubbish");
    await click(page, t("keyring.add.button"));
    await sees(page, t("keyring.error.key-unknown"));
  }),
  "keyring file, renaming an entry": dialog(fileHolder, "keyring.rename.of", "keyring.rename"),
  "keyring file, removing an entry": dialog(fileHolder, "keyring.remove.of", "keyring.remove"),
  "keyring file, signing in": dialog(fileHolder, "keyring.sign-in.of", "keyring.sign-in"),
  "keyring file, making an account": dialog(
    fileHolder,
    "keyring.register.of",
    "keyring.register.button",
  ),
  "keyring file, asking for a secret": dialog(
    fileHolder,
    "keyring.secret.of",
    "keyring.secret.show",
  ),
  "keyring file, a secret is shown": above(fileHolder, async (page, t) => {
    await click(page, t("keyring.secret.of", { name: "PC" }));
    await click(page, t("keyring.secret.show"));
    await find(page, "button", t("keyring.secret.save"));
  }),
  "keyring file, changing the passphrase": dialog(
    fileHolder,
    "keyring.passphrase",
    "keyring.passphrase.button",
  ),
  "keyring file, closing it unsaved": dialog(fileHolder, "keyring.close", "keyring.close.lose"),
  "online keyring, recovery code": async (scene) => (await onlineMaker(scene)).visitor,
  "online keyring, open": above(onlineHolder, (page, t) => sees(page, t("keyring.unsaved"))),
  "online keyring, changing the password": dialog(
    onlineHolder,
    "online.password",
    "online.password.button",
  ),
  "online keyring, copying from a file": above(onlineHolder, async (page, t) => {
    await click(page, t("online.copy-from"));
    await find(page, "checkbox", t("online.copy-from.replace"));
  }),
  "online keyring, earlier versions": above(onlineHolder, async (page, t) => {
    await click(page, t("online.revisions"));
    await sees(page, t("online.revisions.none"));
  }),
  "online keyring, opens with a passkey": async (scene) => (await passkeyHolder(scene)).visitor,
  "online keyring, wrong password": async (scene) => {
    const { visitor } = await passkeyHolder(scene);
    await fillIn(visitor.page, scene.t("keyring.field.online-password"), "something else");
    await click(visitor.page, scene.t("online.open"));
    await sees(visitor.page, scene.t("keyring.error.password-wrong"));
    return visitor;
  },
};
