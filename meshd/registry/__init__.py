"""Who is called what and runs where: services, their instances, and the rules of host names."""
