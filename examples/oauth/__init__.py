"""Sign in with Google and the like: Authlib speaks OpenID Connect, authsql keeps who is who."""
