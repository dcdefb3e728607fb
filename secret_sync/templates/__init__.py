"""Go's ``text/template`` with Sprig's functions: template and values -> bytes, within budgets.

Pure: knows neither Kubernetes nor Alibaba Cloud. It is imported when the first object has a
template. Source of the language: https://pkg.go.dev/text/template as of Go 1.26; of most
functions: https://masterminds.github.io/sprig/ as of 3.3.0.
"""
