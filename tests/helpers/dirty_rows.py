"""Raw tables as lines of CSV: sound rows with odd ids, and rows that go to quarantine, each with its reason."""

import csv
import io

from hostile_texts import FEATURE, IDS, MARKUP, NAMES, SHELL

FEATURES = {
    "user_features": {"age": "dense", "gender": "categorical"},
    "item_features": {"year": "dense", "genres": "tags"},
}
"""Section `data` of params.yaml."""

USERS = ["user_id,age,gender", "1,24,M", "2,,F", "007,53,", '"a ""b"", c",23,M', "é 中,30,F"]
ITEMS = [
    "item_id,title,year,genres",
    "1,Toy Story,1995,Animation|Comedy",
    "02,,,",
    "x y,GoldenEye,1995,Action",
]
EVENTS = [
    "user_id,item_id,timestamp,rating",
    "1,1,881250949,3",
    "1,02,881250950,5",
    "2,1,881250951,1",
    "007,02,881250952,4.5",
    '"a ""b"", c",x y,881250953,2',
    "é 中,1,881250954,3",
]

BAD_USERS = {
    "1,30,M": "user_id occurred before (the first row is kept)",
    ",30,M": "user_id is empty",
    "9,young,M": "age is not a number",
    "8,inf,M": "age is not a number",
}

BAD_ITEMS = {
    "1,Again,1999,": "item_id occurred before (the first row is kept)",
    "3,Soon,next year,": "year is not a number",
}

BAD_EVENTS = {
    "1,1,881250949,3": "same user, item and timestamp as an event before (the first one is kept)",
    "1,1,881250960,0.5": "rating is off the scale from 1 to 5",
    "1,1,881250960,6": "rating is off the scale from 1 to 5",
    "1,1,881250960,good": "rating is not a number",
    "1,1,881250960,nan": "rating is not a number",
    "1,1,881250960,": "rating is not a number",
    "7,1,881250960,3": "user_id is not among the valid users",
    " 1,1,881250960,3": "user_id is not among the valid users",
    "1,2,881250960,3": "item_id is not among the valid items",
    "1,1,631151999,3": "timestamp is not between 1990-01-01 and 2100-01-01",
    "1,1,4102444800,3": "timestamp is not between 1990-01-01 and 2100-01-01",
    "1,1,1998-01-01,3": "timestamp is not a whole number of seconds",
    "1,1,881250960.5,3": "timestamp is not a whole number of seconds",
    "1,1,99999999999999999999,3": "timestamp is not a whole number of seconds",
    "1,1,,3": "timestamp is not a whole number of seconds",
    ",1,881250960,3": "user_id is empty",
    "1,  ,881250960,3": "item_id is empty",
    "1" * 257 + ",1,881250960,3": ("user_id is longer than 256 characters; user_id is not among the valid users"),
    ",1,x,9": ("user_id is empty; timestamp is not a whole number of seconds; rating is off the scale from 1 to 5"),
}


FEATURES_OF_ALL = {
    "user_features": FEATURES["user_features"] | {FEATURE: "categorical"},
    "item_features": FEATURES["item_features"] | {"title": "text", "look": "vector"},
}
"""Section `data` of params.yaml for files_of_all."""


def files_of_all() -> dict[str, bytes]:
    """Content of each CSV file by table: these rows, and hostile ones in hostile columns.

    In quarantine belong the bad rows, one hostile row of each table, and an event of a user and an item that are there.
    """
    users = [[*row, *NAMES] for row in csv.reader([*USERS, *BAD_USERS])]
    header, *rest = csv.reader([*ITEMS, *BAD_ITEMS])
    items = [
        [*header, "look"],
        *([*row, look] for row, look in zip(rest, ["3|4", "", "0|0", "1|0", "1|2"], strict=True)),
    ]
    events = list(csv.reader([*EVENTS, *BAD_EVENTS, "9,3,881250960,3"]))
    for one in IDS:
        users.append([one, "30", "F", *NAMES])
        items.append([one, MARKUP, "1995", "Action", "1e-3|-7.25"])
        events.append([one, one, "880000000", "3"])
    users.append([f"\x1b[31m{MARKUP}", MARKUP, SHELL, *NAMES])
    items.append(["", MARKUP, MARKUP, MARKUP, MARKUP])
    events.append([MARKUP, SHELL, MARKUP, SHELL])
    return {"users": _written(users), "items": _written(items), "interactions": _written(events)}


def _written(rows: list[list[str]]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode()
