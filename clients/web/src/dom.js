/**
 * Small functions that make and change elements. Data only ever becomes text, never markup.
 */

import { t } from './i18n/index.js';

/** @typedef {import('./i18n/index.js').Key} Key */

/**
 * @typedef {object} Special
 * @property {string} [testid] stable hook for tests
 * @property {Key} [text] words that follow the language
 * @property {Key} [label] accessible name that follows the language
 * @property {Key} [placeholder] words that follow the language
 * @property {Record<string, (event: any) => void>} [on] listeners by event
 */

/** @typedef {Special & Record<string, unknown>} Attributes */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  const { testid, text, label, placeholder, on, ...plain } = attributes;
  if (testid !== undefined) element.dataset.testid = testid;
  if (text !== undefined) say(element, text);
  if (label !== undefined) name(element, label);
  if (placeholder !== undefined) {
    element.dataset.placeholder = placeholder;
    element.setAttribute('placeholder', t(placeholder));
  }
  for (const [event, listener] of Object.entries(on ?? {})) {
    element.addEventListener(event, listener);
  }
  for (const [key, value] of Object.entries(plain)) setAttribute(element, key, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * @param {Element} element
 * @param {string} key
 * @param {unknown} value false, null and undefined take the attribute away
 */
export function setAttribute(element, key, value) {
  if (value === false || value === null || value === undefined) {
    element.removeAttribute(key);
    return;
  }
  const text = value === true ? '' : String(value);
  if (element.getAttribute(key) !== text) element.setAttribute(key, text);
}

/**
 * Words that follow the language.
 *
 * @param {HTMLElement} element
 * @param {Key} key
 */
export function say(element, key) {
  if (element.dataset.text === key) return;
  element.dataset.text = key;
  element.textContent = t(key);
}

/**
 * An accessible name that follows the language.
 *
 * @param {HTMLElement} element
 * @param {Key} key
 * @param {Record<string, string>} [values] for the `{names}` in the words
 */
export function name(element, key, values) {
  element.dataset.label = key;
  if (values !== undefined) element.dataset.values = JSON.stringify(values);
  setAttribute(element, 'aria-label', t(key, values));
}

/**
 * Say everything under `root` in the language now chosen.
 *
 * @param {ParentNode} root
 */
export function translate(root) {
  for (const element of root.querySelectorAll('[data-text], [data-label], [data-placeholder]')) {
    if (!(element instanceof HTMLElement)) continue;
    const { text, label, placeholder, values } = element.dataset;
    if (text !== undefined) element.textContent = t(/** @type {Key} */ (text));
    if (label !== undefined) {
      element.setAttribute('aria-label', t(/** @type {Key} */ (label), JSON.parse(values ?? '{}')));
    }
    if (placeholder !== undefined) {
      element.setAttribute('placeholder', t(/** @type {Key} */ (placeholder)));
    }
  }
}

/**
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {HTMLElement} element
 * @param {boolean} visible
 */
export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/**
 * One row of a list that lives as long as its item.
 *
 * @template T
 * @typedef {{element: HTMLElement, update: (item: T) => void}} Row
 */

/**
 * Keeps a parent's children in step with a list; rows are made once, updated and moved.
 *
 * @template T
 */
export class Rows {
  /** @type {Map<string, Row<T>>} */
  #rows = new Map();
  #parent;
  #key;
  #make;

  /**
   * @param {HTMLElement} parent holds nothing but these rows
   * @param {(item: T) => string} key
   * @param {(item: T) => Row<T>} make
   */
  constructor(parent, key, make) {
    this.#parent = parent;
    this.#key = key;
    this.#make = make;
  }

  /** @param {readonly T[]} items */
  update(items) {
    const keys = new Set(items.map(this.#key));
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
    items.forEach((item, index) => {
      const key = this.#key(item);
      let row = this.#rows.get(key);
      if (row === undefined) {
        row = this.#make(item);
        this.#rows.set(key, row);
      }
      // Moving a node loses focus and stops a video: only when it stands elsewhere.
      if (this.#parent.children[index] !== row.element) {
        this.#parent.insertBefore(row.element, this.#parent.children[index] ?? null);
      }
      row.update(item);
    });
  }
}
