"""Strings that end the strings, elements, lines and commands of every language they may come into."""

SHELL = "$(touch x)`touch x`;touch x|touch x&touch x>x\n'\"\\ ${item} ${oc.env:HOME} %s {0} --help ../../x \x1b[31m"
MARKUP = (
    "</script><script>window.hacked=1</script><!--<script>-->]]><img src=http://evil.example/x onerror=window.hacked=1>"
    '" onmouseover="window.hacked=1" \'><svg/onload=window.hacked=1>\u2028\u202egnp.exe\u200b\U0001f600'
    '{{7*7}}{%raw%}\\", "image": "http://evil.example/y", "title": "<img src=http://evil.example/z>'
    "](javascript:window.hacked=1) [x](javascript:window.hacked=1) ```| `a` # & &lt;b&gt; \r\n\n# Evil\n=1+1"
)
"""Ends strings, attributes, elements, comments, code, tables and lines of every language that a page is made of."""
FEATURE = 'image\\", "image": "http://evil.example/f```</script><img src=x onerror=window.hacked=1>'
"""The same as the name of a feature, which holds no control characters."""
IDS = [MARKUP[:240], SHELL, "=cmd|' /C calc'!A0", "$PARAMETER", "{0}", "__proto__"]
"""Of users and items: hostile, but sound."""
NAMES = ["reason", "reason_in_file", "row", "Reason", "index", FEATURE]
"""Of columns: those that validation has itself, and hostile ones."""
