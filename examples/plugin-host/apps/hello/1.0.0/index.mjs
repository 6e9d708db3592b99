let timer;

export function initialize({ settings }) {
  if (settings.everyMs < 100)
    throw Object.assign(new Error("everyMs must be 100 or more"), { failure: "settings" });
}

export function enable({ settings }) {
  timer = setInterval(() => console.log(settings.greeting ?? "hello"), settings.everyMs ?? 10_000);
}

export function disable() {
  clearInterval(timer);
}
