namespace TorchSharp.Modules;

/// <summary>A tensor that a module trains. It takes over the data tensor, which becomes invalid.</summary>
public class Parameter : torch.Tensor
{
    public Parameter(torch.Tensor data, bool requires_grad = true) : base(data) => this.requires_grad = requires_grad;
}
