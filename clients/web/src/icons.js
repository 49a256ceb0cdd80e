/**
 * The icons: strokes on a 24 × 24 grid, drawn for this page.
 */

const SVG = 'http://www.w3.org/2000/svg';

const PATHS = {
  mic: ['M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3z', 'M5.5 11a6.5 6.5 0 0 0 13 0', 'M12 17.5V21'],
  mic_off: ['M9 9v2a3 3 0 0 0 4.8 2.4', 'M15 10.5V6a3 3 0 0 0-5.7-1.3', 'M5.5 11a6.5 6.5 0 0 0 10.6 5', 'M18.5 11a6.5 6.5 0 0 1-.6 2.7', 'M12 17.5V21', 'M4 4l16 16'],
  camera: ['M3.5 7.5a2 2 0 0 1 2-2h7a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2h-7a2 2 0 0 1-2-2z', 'M14.5 11l6-3.5v9l-6-3.5'],
  camera_off: ['M8.5 5.5h4a2 2 0 0 1 2 2v4l6-4v9l-2-1.2', 'M14.3 17.3a2 2 0 0 1-1.8 1.2h-7a2 2 0 0 1-2-2v-9a2 2 0 0 1 1-1.7', 'M4 4l16 16'],
  share: ['M4 5h16v11H4z', 'M9 20h6', 'M12 13V8', 'M9.5 10.2L12 7.7l2.5 2.5'],
  chat: ['M4 5h16v11h-9l-4 3.5V16H4z', 'M8 9h8', 'M8 12h5'],
  hand: ['M8 12V6.2a1.4 1.4 0 0 1 2.8 0V11', 'M10.8 10.5V4.9a1.4 1.4 0 0 1 2.8 0v5.6', 'M13.6 10.8V6.2a1.4 1.4 0 0 1 2.8 0V14c0 4-2.2 6.5-5.4 6.5-2.6 0-3.9-1.3-5.2-3.7L4 13.2a1.5 1.5 0 0 1 2.5-1.5L8 13.6'],
  people: ['M9 11a3.2 3.2 0 1 0 0-6.4A3.2 3.2 0 0 0 9 11z', 'M3 19.5c.4-3.4 2.8-5.5 6-5.5s5.6 2.1 6 5.5', 'M15.5 5a3 3 0 0 1 0 5.8', 'M17.5 14.4c2 .8 3.2 2.6 3.5 5.1'],
  record: ['M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16z', 'M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z'],
  more: ['M5.5 12h.01', 'M12 12h.01', 'M18.5 12h.01'],
  leave: ['M10 4H5v16h5', 'M14 8l4 4-4 4', 'M18 12H9.5'],
  end: ['M3.5 14.5c-.6-1.6.2-3 1.7-3.9 4-2.3 9.6-2.3 13.6 0 1.5.9 2.3 2.3 1.7 3.9l-.3.8c-.2.6-.9.9-1.5.7l-3-1c-.5-.2-.8-.6-.8-1.2v-1.6c-1.9-.5-3.9-.5-5.8 0v1.6c0 .6-.3 1-.8 1.2l-3 1c-.6.2-1.3-.1-1.5-.7z'],
  pin: ['M9 4h6l-.7 6 3.2 3.5H6.5L9.7 10z', 'M12 13.5V20'],
  check: ['M5 12.5l4.5 4.5L19 7.5'],
  cross: ['M6 6l12 12', 'M18 6L6 18'],
  clock: ['M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17z', 'M12 7.5V12l3 2'],
  shield: ['M12 3.5l7 2.5v5.5c0 4.3-2.8 7.5-7 9-4.2-1.5-7-4.7-7-9V6z', 'M9 12l2.2 2.2L15.2 10'],
  heart: ['M12 20s-7.5-4.6-7.5-10A4.3 4.3 0 0 1 12 7.3 4.3 4.3 0 0 1 19.5 10c0 5.4-7.5 10-7.5 10z'],
  link: ['M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1.2 1.2', 'M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1.2-1.2'],
  speaker: ['M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z', 'M15.5 9a4.2 4.2 0 0 1 0 6', 'M18 6.5a7.8 7.8 0 0 1 0 11'],
  settings: ['M4 7h9', 'M17 7h3', 'M15 9a2 2 0 1 0 0-4 2 2 0 0 0 0 4z', 'M4 17h3', 'M11 17h9', 'M9 19a2 2 0 1 0 0-4 2 2 0 0 0 0 4z'],
  send: ['M4.5 4.5l16 7.5-16 7.5 2.5-7.5z', 'M7 12h6'],
  alert: ['M12 4l9 15.5H3z', 'M12 10v4', 'M12 16.8h.01'],
  door: ['M6 20.5V4.5l9-1.5v17.5', 'M4 20.5h16', 'M15 6h3v14.5', 'M12 12h.01'],
  refresh: ['M5 12a7 7 0 0 1 12-4.9L19 9', 'M19 4.5V9h-4.5', 'M19 12a7 7 0 0 1-12 4.9L5 15', 'M5 19.5V15h4.5'],
  pause: ['M8.5 6v12', 'M15.5 6v12'],
  badge: ['M5 6h14v12H5z', 'M9.5 12.5a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4z', 'M7 15.5c.4-1.2 1.3-1.8 2.5-1.8s2.1.6 2.5 1.8', 'M14.5 10.5H17', 'M14.5 13.5H17'],
};

/** @typedef {keyof typeof PATHS} IconName */

/**
 * @param {IconName} name
 * @returns {SVGSVGElement} decorative: hidden from screen readers
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  draw(svg, name);
  return svg;
}

/**
 * @param {SVGSVGElement} svg made by `icon`
 * @param {IconName} name what it shall show
 */
export function draw(svg, name) {
  if (svg.dataset.icon === name) return;
  svg.dataset.icon = name;
  svg.replaceChildren(
    ...PATHS[name].map((d) => {
      const path = document.createElementNS(SVG, 'path');
      path.setAttribute('d', d);
      return path;
    }),
  );
}
