"""jlgc_mailer: a self-hosted newsletter system.

The flow, which the folder names tell:

    content    an Issue with its Editions is imported and frozen into a Revision
    render     the Revision is compiled once per edition: Jinja2 -> MJML -> inlined HTML, and text
    sending    a Send is planned into Batches of Deliveries; a worker claims a batch, merges each
               recipient's values into an encoded skeleton, signs it and hands it to a relay, as the
               pace allows; every attempt ends as an Outcome, first in a journal, then in the ledger
    feedback   refusals and complaints are stored as FeedbackEvents and judged into Suppressions

`audience` keeps who wants to read; `mail` holds the pure values of messages, addresses and tokens;
`db` the tables; `states` every status and its legal moves; `errors` what can go wrong.
`bootstrap` puts the parts together from `settings`; `cli`, `web` and `worker` are thin shells around it.

The database is the truth and Celery only the hands: see docs/decisions/.
"""
