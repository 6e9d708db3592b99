/** The types of events of apps, a part of `eventTypes`. */
export const appEventTypes = {
  "app.added": {
    sentence: "is added, version {version}, to be {to}[, as {instance} had it][: {reason}]",
    when: "somebody adds an app, brings one back that was uninstalled, or adopts one that an instance has",
  },
  "app.enabled": {
    sentence: "is to be enabled; it was {from}[: {reason}]",
    when: "somebody has every instance enable it",
  },
  "app.disabled": {
    sentence: "is to be disabled; it was {from}[: {reason}]",
    when: "somebody has every instance disable it",
  },
  "app.changed": {
    sentence: "has other {changed}: {to} instead of {from}[: {reason}]",
    when: "somebody changes its version, source or settings; long settings are cut",
  },
  "app.uninstalled": {
    sentence: "is to be uninstalled; it was {from}[: {reason}]",
    when: "somebody has every instance remove it, known before or not",
  },
  "app.told": {
    sentence: "is told to the instances of this ledger[: {reason}]",
    when: "after a restore, when somebody reconciles apps or asks for what is so already; and when an instance comes that reads only older formats",
  },
  "app.status": {
    sentence:
      "is {to} on {instance}; it was {from} ({cause})[: {reason}][; {missed} changes before it are not known]",
    when: "an instance reports another init status; once each",
  },
  "app.mismatched": {
    sentence: "is not as asked on {instance}: {reason}; see {link}",
    when: "an instance that is heard has not had it as asked for long, or has it though nobody asked for it; once",
  },
  "app.matched": {
    sentence: "is as asked on {instance} again, or not asked of it any more",
    when: "what was alerted is over; once",
  },
  "app.cleared": {
    sentence: "is forgotten; {confirmed} instances have confirmed that nothing of it is left",
    when: "an uninstalled app is gone from every known instance",
  },
  "app.reconciled": {
    sentence: "is tried again on {retried} instances[: {reason}]",
    when: "somebody reconciles apps",
  },
  "app-instance.joined": { sentence: "has apps", when: "the first report of an instance about its apps" },
  "app-instance.left": {
    sentence: "has no apps any more: {why}",
    when: "it has left, was removed, or was not heard for a day",
  },
} as const satisfies Readonly<Record<string, { readonly sentence: string; readonly when: string }>>;
