"""What nginx and nghttpd serve: a small page and a large text."""
import os

os.makedirs("www")
with open("www/index.html", "w") as page:
    page.write("hello, remora")
with open("www/big.txt", "w") as text:
    text.write("remora is a fish that holds on\n" * 1000)
