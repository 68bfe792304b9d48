/** Requests to the broker, and the state that all views share. */
import { createContext, useCallback, useContext, useEffect, useRef, useState } from "../vendor/preact.js";

/** A refused request: `status` is that of HTTP, 0 if the server does not answer. */
export class ApiError extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

/**
 * Sends a request with the session of the page.
 *
 * @returns the response as JSON; undefined if it has none
 * @throws {ApiError} it is refused
 */
export async function call(method, path, body, signal) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      headers: {
        "x-mqcat": "page",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer");
  }
  const text = await response.text();
  const isJson = /json/.test(response.headers.get("content-type") ?? "");
  const json = text !== "" && isJson ? JSON.parse(text) : undefined;
  if (!response.ok) throw new ApiError(response.status, reasonOf(json) ?? `Status ${response.status}`);
  return json;
}

function reasonOf(json) {
  const reason = json?.reason ?? json?.error;
  return typeof reason === "string" ? reason.replaceAll("_", " ") : undefined;
}

/** Encodes names for a path. */
export function path(...names) {
  return names.map((name) => encodeURIComponent(name === "" ? "amq.default" : name)).join("/");
}

/** Adds a query to a path, without empty values. */
export function query(path, values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}

/** Whether a request was refused because the session or its user is gone, and not for a missing permission. */
function isEnd({ status, message }) {
  return status === 401 && /^(Log in first|Login failed)/i.test(message);
}

/** `user`: the session; `interval`: the time between refreshes in ms, 0 for none; `notify`, `onEnded`. */
export const Shared = createContext({});

export const useShared = () => useContext(Shared);

/**
 * Requests a path, again and again while the page is visible.
 *
 * @param path undefined: nothing is requested
 * @param once whether it is requested only once, and by `reload`
 * @returns the last response, and the error of the last request
 */
export function useApi(path, once = false) {
  const { interval, onEnded } = useShared();
  const [state, setState] = useState({ data: undefined, error: undefined, path: undefined });
  const timer = useRef();
  const abort = useRef();
  const load = useCallback(async () => {
    if (path === undefined) return;
    clearTimeout(timer.current);
    abort.current?.abort();
    const controller = abort.current = new AbortController();
    try {
      const data = await call("GET", path, undefined, controller.signal);
      setState({ data, error: undefined, path });
    } catch (error) {
      if (error.name === "AbortError") return;
      if (isEnd(error)) return onEnded();
      setState((old) => ({ ...old, error }));
    }
    if (!once && interval > 0) timer.current = setTimeout(next, interval);
  }, [path, once, interval]);
  const next = () => {
    if (!document.hidden) load();
    else document.addEventListener("visibilitychange", load, { once: true });
  };
  useEffect(() => {
    load();
    return () => {
      clearTimeout(timer.current);
      abort.current?.abort();
      document.removeEventListener("visibilitychange", load);
    };
  }, [load]);
  return { ...state, isCurrent: state.path === path, reload: load };
}

/** Returns a function that runs a change and reports its outcome. It returns whether the change was made. */
export function useChange() {
  const { notify, onEnded } = useShared();
  return async (work, message) => {
    try {
      const result = await work();
      notify(typeof message === "function" ? message(result) : message);
      return true;
    } catch (error) {
      if (isEnd(error)) onEnded();
      else notify(error.message, true);
      return false;
    }
  };
}
