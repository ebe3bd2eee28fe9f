"""The routes, one module per noun: parse, call one method, return what it gave."""
