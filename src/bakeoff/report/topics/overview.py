"""Sections without charts of their own: their templates show what the summary and the judged claims hold."""

from bakeoff.report.topics.base.topic import Page, Topic

VERDICT = Topic("verdict", 10, Page.REPORT, "verdict", group="Answer", title="Verdict")
WHO = Topic("who", 20, Page.REPORT, "who", group="Answer", title="Who should get what")
NEW_USERS = Topic("new_users", 200, Page.REPORT, "new-users", group="Quality", title="New users and items")
COST = Topic("cost", 410, Page.REPORT, "cost", group="Quality", title="Quality for its cost")
DATA = Topic("data", 510, Page.REPORT, "data", group="Basis", title="Data and how to reproduce")
CLAIMS = Topic("claims", 15, Page.EVIDENCE, "claims", group="Answer", title="The textbook's claims")
