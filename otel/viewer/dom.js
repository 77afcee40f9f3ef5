// Builds elements from names, properties and children. Text is always a text node, so foreign text is never markup.

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

/**
 * Make an HTML element. `properties` may hold attributes (null and false leave them out, true sets them empty),
 * `class` (string or list with holes), `on` (event listeners), `css` (style properties, set through CSSOM, which a strict
 * Content-Security-Policy allows) and `data` (data attributes). Children are elements, strings, numbers, lists or null.
 */
export function h(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** Make an SVG element, with the same properties as `h`. */
export function s(name, properties = {}, ...children) {
  return fill(document.createElementNS(SVG_NAMESPACE, name), properties, children);
}

/** Put `children` in the place of all that `element` holds. */
export function replace(element, ...children) {
  element.replaceChildren(...flatten(children));
  return element;
}

/** Set the style properties of `css` (custom ones too); null takes one away. */
export function setCss(element, css) {
  for (const [property, value] of Object.entries(css)) {
    if (value === null) element.style.removeProperty(property);
    else element.style.setProperty(property, String(value));
  }
}

/** Set or take away an attribute: null and false take it away, true sets it empty. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.setAttribute("class", Array.isArray(value) ? value.filter(Boolean).join(" ") : value);
    else if (name === "on")
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "css") setCss(element, value);
    else if (name === "data") Object.assign(element.dataset, value);
    else setAttribute(element, name, value);
  }
  element.append(...flatten(children));
  return element;
}

function flatten(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
