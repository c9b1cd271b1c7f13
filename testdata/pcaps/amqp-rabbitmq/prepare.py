"""RabbitMQ on loopback, without plugins."""

with open("rabbitmq.conf", "w") as conf:
    conf.write("listeners.tcp.1 = 127.0.0.1:15673\n")
with open("enabled_plugins", "w") as plugins:
    plugins.write("[].\n")
