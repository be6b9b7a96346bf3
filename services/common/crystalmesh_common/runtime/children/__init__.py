"""Models in processes of their own, over pipes: one that dies takes neither service nor crystal along."""
