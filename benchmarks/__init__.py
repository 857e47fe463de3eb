"""What retain is measured by; each module makes one section of benchmarks/README.md."""
