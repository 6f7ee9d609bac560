# Work pool, automations and deployments on the server of Prefect's profile or PREFECT_API_URL. Repeating it does no harm.
set -eu
prefect work-pool inspect bakeoff > /dev/null 2>&1 || prefect work-pool create bakeoff --type process
prefect automation inspect "Crash runs that went silent" > /dev/null 2>&1 \
  || prefect automation create --from-file deploy/automations.yaml
test -z "${BAKEOFF_NOTIFY:-}" || python deploy/notifications.py
# prefect.yaml says that schedules are paused. Deploying it again must not pause those that a person has resumed.
active=$(prefect deployment schedule ls nightly/nightly --output json 2> /dev/null \
  | python -c 'import json, sys; print(*[each["id"] for each in json.load(sys.stdin) if each["active"] and each["slug"]])' 2> /dev/null) || true
prefect --no-prompt deploy --all
for schedule in $active; do prefect deployment schedule resume nightly/nightly "$schedule"; done
