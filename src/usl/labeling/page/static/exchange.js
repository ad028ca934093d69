// What goes to the server and comes back. All of it says which run and which listing of its images
// this page is of; images go by references, CONTENT/ID, which hold when the server is started anew.

const { run, listing } = document.body.dataset;

/** The id of an image. */
export const idOf = (ref) => ref.slice(ref.indexOf("/") + 1);

/** The address of a picture. */
export const pictureAddress = (ref, side) => addressed(`/image/${side}`, { image: ref });

function addressed(path, parameters) {
  return `${path}?${new URLSearchParams({ ...parameters, run, listing })}`;
}

/** Ask the server for something. */
export const ask = (path, parameters = {}) => request(addressed(path, parameters), {});

/** Tell the server something. */
export function tell(path, content, signal = undefined) {
  const body = JSON.stringify({ ...content, run, listing });
  const headers = { "content-type": "application/json" };
  // Kept alive, closing the tab does not call it back; browsers allow that up to 64 kB.
  const keepalive = new Blob([body]).size < 50000;
  return request(path, { method: "POST", headers, body, keepalive, signal });
}

/** Rejects with `status` and `fault` when the server refuses, without when it is away. */
async function request(path, options) {
  const response = await fetch(path, { credentials: "same-origin", redirect: "error", ...options });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const fault = answer.fault ?? response.statusText;
  throw Object.assign(new Error(fault), { status: response.status, fault });
}

/** Why a picture does not come: the server's `status` and `fault`, if there are any. */
export async function reason(address) {
  try {
    await request(address, {});
    return { fault: "", status: 200 };
  } catch ({ fault = "", status = 0 }) {
    return { fault, status };
  }
}
