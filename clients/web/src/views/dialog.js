/**
 * Dialogs: the browser's own, which keep the focus and close with Escape.
 */

import { el } from '../dom.js';
import { t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { may } from '../state.js';

/** @typedef {import('../dom.js').Key} Key */

/**
 * @param {string} title
 * @param {string} testid
 * @param {...(Node | string | null)} content
 * @returns {HTMLDialogElement} open, and gone from the page when closed
 */
export function openDialog(title, testid, ...content) {
  const dialog = el(
    'dialog',
    { class: 'dialog', testid, 'aria-label': title },
    el(
      'header',
      { class: 'dialog-head' },
      el('h2', {}, title),
      el(
        'button',
        { class: 'icon-button', type: 'button', label: 'close', on: { click: () => dialog.close() } },
        icon('cross'),
      ),
    ),
    ...content,
  );
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Ask before something that cannot be undone.
 *
 * @param {{title: string, body: string, confirm: Key, cancel?: Key, testid: string,
 *   onConfirm: () => void}} question
 */
export function confirmFirst({ title, body, confirm, cancel = 'cancel', testid, onConfirm }) {
  const dialog = openDialog(
    title,
    `${testid}-dialog`,
    el('p', {}, body),
    el(
      'div',
      { class: 'dialog-buttons' },
      el('button', {
        class: 'button secondary',
        type: 'button',
        text: cancel,
        on: { click: () => dialog.close() },
      }),
      el('button', {
        class: 'button danger',
        type: 'button',
        testid,
        text: confirm,
        on: {
          click: () => {
            dialog.close();
            onConfirm();
          },
        },
      }),
    ),
  );
}

/**
 * Leave; asked first where one would have to wait to be let in again.
 *
 * @param {import('./context.js').Context} context
 * @param {'leave.call_title' | 'leave.waiting_title'} title
 */
export function leaveWithCare({ store, session, ask }, title) {
  const onConfirm = () => ask(session.leave());
  if (may(store.get().room, 'enter')) {
    onConfirm();
    return;
  }
  confirmFirst({
    title: t(title),
    body: t('leave.body'),
    confirm: 'leave.confirm',
    cancel: 'leave.stay',
    testid: 'leave-confirm',
    onConfirm,
  });
}
